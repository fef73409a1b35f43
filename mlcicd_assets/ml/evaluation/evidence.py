"""What every section of an evaluation is."""

from pydantic import BaseModel, ConfigDict


class Evidence(BaseModel):
    """Closed and frozen; JSON writes a number that is none as null, and reads it back as None."""

    model_config = ConfigDict(frozen=True, extra="forbid")
