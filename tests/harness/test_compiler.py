"""What needs no compiler goes without it, and whoever compiles gets the real one."""

import subprocess
import sys

import pytest

TRAINING = """
import sys
from weakseg.harness import compiler
compiler.put_off()
import timm, torch

network = timm.create_model("mobilenetv2_035")
optimizer = torch.optim.AdamW(network.parameters())
network(torch.zeros(2, 3, 32, 32)).sum().backward()
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
"""
ALONE = "assert {name for name in sys.modules if name.startswith('torch._dynamo.')} == {'torch._dynamo.utils'}"
COMPILING = """
function = torch.compile(lambda x: 2 * x + 1, backend="eager")
assert function(torch.ones(3)).tolist() == [3, 3, 3]
assert "OptimizedModule" in vars(sys.modules["torch._dynamo.eval_frame"])
assert torch._dynamo is sys.modules["torch._dynamo"] and torch._dynamo.utils.is_compile_supported("cpu")
optimizer.step()
"""


def run(*code: str) -> None:
    subprocess.run([sys.executable, "-c", "\n".join(code)], check=True)


@pytest.mark.parametrize("first", ["", "import torch"])
def test_a_training_leaves_the_compiler_alone(first: str) -> None:
    run(first, TRAINING, ALONE)


def test_the_compiler_works_after_it() -> None:
    run(TRAINING, COMPILING)


def test_its_modules_can_be_imported_after_it() -> None:
    run(TRAINING, "import torch._dynamo.config", COMPILING)


def test_it_may_be_there_already() -> None:
    run("import timm", TRAINING, COMPILING)
