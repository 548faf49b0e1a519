# SPDX-License-Identifier: Apache-2.0
"""Client of facenetd: face embeddings and distances over HTTP, as NumPy arrays.

    import facenetd

    with facenetd.Client("http://127.0.0.1:8080") as client:
        faces = client.embed("face.jpg")
        print(faces[0].embedding.shape, client.distance("a.jpg", "b.jpg").same)

`Client` may be shared by threads; `AsyncClient` has the same methods to be awaited.
"""

from facenetd._async import AsyncClient
from facenetd._client import Client
from facenetd._errors import (
    BadAnswerError,
    DeadlineError,
    FacenetError,
    RefusedError,
    UnreachableError,
)
from facenetd._pictures import Channels, Picture
from facenetd._results import Box, Distance, Face, Faces, Model, Quality, Threshold

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "BadAnswerError",
    "Box",
    "Channels",
    "Client",
    "DeadlineError",
    "Distance",
    "Face",
    "FacenetError",
    "Faces",
    "Model",
    "Picture",
    "Quality",
    "RefusedError",
    "Threshold",
    "UnreachableError",
]
