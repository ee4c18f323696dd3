"""What every answer says about itself, whatever it is: it is what it says it is, belongs in no frame and in no other
site, and nobody learns from it where one came from. Pages say more (`web/frame.py`).
"""

PERMISSIONS = ", ".join(
    [
        *(
            f"{feature}=()"
            for feature in (
                "camera",
                "clipboard-read",
                "display-capture",
                "fullscreen",
                "geolocation",
                "hid",
                "microphone",
                "midi",
                "payment",
                "serial",
                "usb",
            )
        ),
        "publickey-credentials-get=(self)",
    ]
)
"""What of the browser's a page of ours may use: passkeys, and nothing else that asks a person."""

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": PERMISSIONS,
}

NO_PAGE = {**ALWAYS, "content-security-policy": "default-src 'none'; frame-ancestors 'none'"}
"""Of what is no page: opened as one all the same, it runs and loads nothing."""

PRIVATE = {**NO_PAGE, "cache-control": "no-store"}
"""The same, for the eyes of whoever asked alone."""
