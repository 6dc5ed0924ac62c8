"""What Toy Inn Pos is: facts only. The form, the API's checks, the documentation and the matrix are all made from this."""

from pydantic import Field, SecretStr

from integrations.records import MenuItem
from integrations.services.manifest import DeletesBy, Idempotency, Kind, Manifest, Operation, ProviderFields, Stream


class Credentials(ProviderFields):
    api_key: SecretStr = Field(title="API key", description="From Toy Inn Pos's back office, Settings, Interfaces.")


class Config(ProviderFields):
    base_url: str = Field(title="Address", description="Where the hotel's Toy Inn Pos is: https://…", pattern=r"^https?://")


manifest = Manifest(
    slug="toy_inn_pos",
    name="Toy Inn Pos",
    kinds=(Kind.POS,),
    answers_to=("toy inn pos",),
    environments={"production": ""},
    credentials=Credentials,
    config=Config,
    streams=(
        # Read whole each time: what a complete list lacks is gone.
        Stream(name="menus", label="Menu items", records=(MenuItem,), incremental=False, deletes_by=DeletesBy.FULL_COMPARISON),
    ),
    operations=(
        # The vendor takes our key and recognises a repetition. If yours does not, declare LOOKUP and write find_post_guest_check.
        Operation(name="post_guest_check", label="Post a guest check", idempotency=Idempotency.NATIVE),
    ),
)
