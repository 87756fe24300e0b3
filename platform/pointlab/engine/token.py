"""Where Ray takes the cluster's token from, for errors to say; the token itself is shown nowhere."""

import os

EXPECTED = (
    "the cluster's token in RAY_AUTH_TOKEN, in the file that RAY_AUTH_TOKEN_PATH names, or in"
    " ~/.ray/auth_token"
)


def place_of_token() -> str:
    """The first of the three places that is in use, as Ray looks through them."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "RAY_AUTH_TOKEN"
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return f"{path}, which RAY_AUTH_TOKEN_PATH names" if path else "~/.ray/auth_token"
