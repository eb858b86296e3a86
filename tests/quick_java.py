"""Options for the Java of tests in processes of their own, where the job itself does not choose them."""

from __future__ import annotations

from flowspark.java import launch_settings

JAVA = launch_settings({})["spark.driver.extraJavaOptions"]
"""For processes that live for seconds, and with the archive of Java's classes: halves what a run costs."""
