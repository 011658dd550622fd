"""Mend: a letter that cannot be sent now is sent later.

Every letter is a row until the server has taken it; the pause between two tries doubles. Whoever
greylists us gets it at the second or third try. Mistake: shop/fragile/mail.py.
"""

import logging
import smtplib

from sqlalchemy import func, select, text, update

from shop import letters, settings
from shop.models import Letter
from shop.resilient import database, limits

log = logging.getLogger(__name__)


def send(order: int) -> None:
    """Raises SMTPException or OSError."""
    with smtplib.SMTP(*settings.MAIL, timeout=limits.MAIL) as server:
        server.send_message(letters.confirmation(order))


def send_due(at_most: int = 20) -> int:
    """Send what is due; how many letters that were."""
    due = database.run(
        lambda session: session.execute(
            select(Letter.order, Letter.tries)
            .where(~Letter.sent, Letter.due <= func.now())
            .limit(at_most)
        ).all()
    )
    for order, tries in due:
        try:
            send(order)
            values = {"sent": True}
        except (smtplib.SMTPException, OSError) as error:
            log.info("letter %s waits: %s", order, error)
            seconds = int(min(2**tries, limits.MAIL_PAUSE_MAX))
            values = {"due": func.now() + text(f"INTERVAL {seconds} SECOND"), "tries": tries + 1}
        database.run(
            lambda session, order=order, values=values: session.execute(
                update(Letter).where(Letter.order == order).values(values)
            ),
            "orders",
        )
    return len(due)
