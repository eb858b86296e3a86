"""What a day of logs costs on EMR Serverless, beside Athena: reckoned from measured figures and published prices.

    scripts/bench/run cost

Nothing is measured here. The measured figures are those of the README's tables `s3`, `listing` and `scale`.
"""

from __future__ import annotations

# measured, in CPU seconds: a million records; a file, to find it and hand it out, and its audit; the results of a split
MILLION_RECORDS, FILE, SPLIT = 0.295, 51e-6 + 138e-6, 0.074
FILE_MEMORY = 573  # measured: bytes of the driver's memory for a listed file

# the logs: gzip of the default format, as data.py makes it, in files of a megabyte; and flowspark's splits of them
BYTES_OF_MILLION, BYTES_OF_FILE, BYTES_OF_SPLIT = 27e6, 1e6, 1 << 30

# prices in dollars: AWS's list prices for us-east-1, as others' pages told them in November 2026
VCPU_HOUR, GB_HOUR, GB_OF_VCPU = 0.052624, 0.0057785, 4  # EMR Serverless on x86, and a worker's memory
GET, LIST, LISTED = 0.0004 / 1000, 0.005 / 1000, 1000  # S3 requests, and the objects that one LIST tells
ATHENA = 5.0  # a terabyte scanned

BUSY = 0.7  # assumed: the share of its paid time that a core computes, and does not start or wait


def day(size: float) -> dict[str, str]:
    """The line of the table for a day with so many bytes of gzip."""
    files, splits = size / BYTES_OF_FILE, size / BYTES_OF_SPLIT
    records = size / BYTES_OF_MILLION
    hours = (records * MILLION_RECORDS + files * FILE + splits * SPLIT) / 3600
    paid = hours / BUSY
    compute = paid * (VCPU_HOUR + GB_OF_VCPU * GB_HOUR)
    requests = files * GET + files / LISTED * LIST
    return {
        "gzip": f"{size / 1e12:,.0f} TB",
        "records": f"{records / 1e3:,.0f} billion",
        "files": f"{files / 1e6:,.0f} million",
        "splits": f"{splits:,.0f}",
        "core hours": f"{hours:,.1f}",
        "driver memory": f"{files * FILE_MEMORY / 1e9:,.1f} GB",
        "S3 requests": f"{(files + files / LISTED) / 1e6:,.1f} million",
        "EMR Serverless": f"${compute:,.2f}",
        "requests": f"${requests:,.2f}",
        "together": f"${compute + requests:,.2f}",
        "Athena": f"${size / 1e12 * ATHENA:,.2f}",
    }


def main() -> None:
    """Prints the table."""
    rows = [day(size) for size in (1e12, 100e12)]
    print(f"\n| {' | '.join(rows[0])} |\n{'|---' * len(rows[0])}|")
    for row in rows:
        print(f"| {' | '.join(row.values())} |")


if __name__ == "__main__":
    main()
