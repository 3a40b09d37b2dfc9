"""The largest model that several files hold to recordings."""

import pytest
import seeded
import seeded_unirefpp
from unirefpp_recording import model_of, recorded, shapes

from referent.models.unirefpp import UniRef


@pytest.fixture(scope="session")
def r50() -> UniRef:
    """UniRef++ with ResNet-50 and the weights of the recordings."""
    official = seeded_unirefpp.fill(shapes("unirefpp_video_r50"), 11)
    assert seeded.digest(official) == recorded("r50_ris")[1]["weights"]["sha256"]
    return model_of(official)
