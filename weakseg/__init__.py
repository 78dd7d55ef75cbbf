"""From image-level labels to masks and boxes, in ten rooms. Imports go down this list, never up.

cli         commands for people
evaluation  masks, boxes, classifiers, receptive fields: against the truth, and what needs none
training    classifier, CRM, segmenter and its rounds, and their losses
masks       from activation maps to masks: thresholds, refiners, distillation, superpixels
cams        class activation maps: methods, and what they share
networks    features, then logits: backbones, segmenters, layers, loading
data        data sets in normal form, and the batches that training reads
figures     pictures, tables and the page
artifacts   what lies on disk: archives, tables, activations, truth
harness     choices by name, parameters, the stage runner, whole files, resume, device, workers, progress

`masks` and `cams` never import each other: they meet in data/cams alone. `errors` is below all.
"""
