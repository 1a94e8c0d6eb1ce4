"""`is_public` under its former name, for `delivery`. It lives in `videoworker.http.public_address`."""

from videoworker.http.public_address import is_public as is_public
