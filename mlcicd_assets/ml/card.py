"""What only a person can say about a model: for its card (Mitchell et al., "Model Cards", 2019)."""

from pydantic import Field

from mlcicd_assets.ml.declared import Declaration


class Card(Declaration):
    """Texts of a model card that no measurement gives; each may be left out, and then the card says so."""

    intended_use: str = Field(default="", description="What it is for, and who uses it.")
    out_of_scope: str = Field(default="", description="What it must not be used for.")
    limitations: str = Field(default="", description="Where it is known to be wrong, and what follows.")
    ethical_considerations: str = Field(default="", description="Who may be harmed, and what is done for it.")
    license: str = Field(default="", description="An SPDX identifier: 'Apache-2.0'.")
    references: list[str] = Field(default=[], description="Papers, tickets, pages that say more.")
