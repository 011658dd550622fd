"""What customers get by mail."""

from email.message import EmailMessage

from shop import settings


def confirmation(order: int) -> EmailMessage:
    """The same order always makes the same letter, with the same Message-ID."""
    letter = EmailMessage()
    letter["From"] = settings.SENDER
    letter["To"] = f"customer-{order}@example.com"
    letter["Subject"] = f"Your order {order}"
    letter["Message-ID"] = f"<order-{order}@{settings.MODE}.shop.internal>"
    letter.set_content(f"Your order {order} is on its way.\n")
    return letter
