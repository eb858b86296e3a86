"""spark-submit jobs/tag_flows.py: counts AWS VPC flow logs by tag and by port and protocol; see README.md."""

import sys
from pathlib import Path

# spark-submit puts jobs/ on the path, not the clone's root; an installed or shipped package comes without that folder
root = Path(__file__).resolve().parent.parent
if (root / "flowspark" / "cli.py").is_file():
    sys.path.insert(0, str(root))

try:
    from flowspark.cli import main
except ImportError as error:
    if error.name not in ("flowspark", "flowspark.cli"):
        raise
    if not isinstance(error, ModuleNotFoundError):  # this Python is too old
        sys.exit(f"error: {error}")
    sys.exit(
        "error: the package flowspark is not beside this file and not installed; make a zip of it with "
        "`scripts/package zip` in the clone, and run spark-submit --py-files flowspark-….zip tag_flows.py …"
    )

if __name__ == "__main__":
    code = main()
    if code:  # Databricks takes even sys.exit(0) for a failure
        sys.exit(code)
