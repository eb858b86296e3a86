"""The package as a Spark Connect server gets it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile

from flowspark.connect import package_zip
from tests.s3_server import ROOT

PRINT = "import sys, flowspark.connect; sys.stdout.buffer.write(flowspark.connect.package_zip())"


def test_the_zip_has_all_that_a_worker_needs_and_the_same_bytes_when_it_is_made_from_a_zip(tmp_path):
    content = package_zip()
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    files = (path for path in (ROOT / "flowspark").rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert names == sorted(str(path.relative_to(ROOT)) for path in files)
    package = tmp_path / "any-name.zip"
    package.write_bytes(content)
    again = subprocess.run(
        [sys.executable, "-c", PRINT],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(package)}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert again.stdout == content
