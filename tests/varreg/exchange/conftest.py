"""The other tools compute on one thread: the images are small, and so are the waits."""

import os

os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
