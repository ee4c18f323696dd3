"""Why a payment or a card came to nothing, for a person: what happened, and what to do about it."""

SENTENCES = {
    "authentication_required": (
        "The card's bank wants its holder to confirm the payment. Pay on a payment page, where the bank can ask."
    ),
    "insufficient_funds": "The card does not have enough money on it. Use another card, or try again later.",
    "expired_card": "The card has expired. Save a new one.",
    "lost_card": "The card's bank refuses this card for good. Save another one.",
    "stolen_card": "The card's bank refuses this card for good. Save another one.",
    "pickup_card": "The card's bank refuses this card for good. Save another one.",
    "incorrect_cvc": "The card's security code was wrong. Save the card again.",
    "processing_error": "The card's bank could not process the payment. Try again in a while.",
    "card_velocity_exceeded": "The card's limit is reached. Use another card, or try again later.",
    "too_late": "It could not be carried out within a day and was given up. Nothing was charged. Try again.",
    "paid_meanwhile": "Nothing was charged, because somebody paid on a payment page meanwhile.",
    "no_longer_needed": "Nothing was charged, because it was not needed any more.",
    "page_expired": "Nobody finished on the page within half an hour. Nothing was charged. Open a new one.",
    "resource_missing": "The payment processor does not know this card. Save it again.",
    "payment_method_unexpected_state": "This card can't be used here: it belongs to someone else, or was taken away.",
    "not_a_card": "This is no card.",
    "card_deleted": "This card was deleted. Save it anew.",
}


def sentence(code: str | None) -> str | None:
    """What to tell a person about this code; None for none."""
    if not code:
        return None
    return SENTENCES.get(code, "The card was declined. Use another card, or ask the card's bank why.")
