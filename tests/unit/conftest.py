"""The tests of the decoder run on the compiled kernel, and on the plain rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowspark.decode import kernel
from flowspark.decode.arrays import Decoder
from flowspark.decode.rules import PYTHON


@pytest.fixture(scope="module", params=["compiled", "python"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    """Each decoder in turn, which is then also the one of the process."""
    chosen = PYTHON if request.param == "python" else kernel.load(kernel.object_name())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "decoder", lambda: chosen)
        yield chosen
