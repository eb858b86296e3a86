"""Numbers as people write them in flags."""


def sizes(text: str) -> list[int]:
    """Numbers of records or objects.

    >>> sizes("10k,8M")
    [10000, 8000000]
    """
    return [int(part.replace("M", "000k").replace("k", "000")) for part in text.split(",")]
