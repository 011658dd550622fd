"""Mend: a letter that cannot be sent now is sent later.

Every letter is a row until the server has taken it; the pause between two tries doubles. Whoever
greylists us gets it at the second or third try. Mistake: shop/fragile/mail.py.
"""

import logging
import smtplib

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from shop import letters, settings
from shop.models import Letter
from shop.resilient import database, limits

log = logging.getLogger(__name__)


def send_due(at_most: int = 10) -> int:
    """Send what is due, over one connection; how many letters have left."""
    due = database.run(
        lambda session: session.execute(
            select(Letter.order, Letter.tries)
            .where(~Letter.sent, Letter.due <= func.now())
            .limit(at_most)
        ).all()
    )
    if not due:
        return 0
    sent = _send([order for order, _ in due])

    def note(session: Session) -> None:
        if sent:
            session.execute(update(Letter).where(Letter.order.in_(sent)).values(sent=True))
        for order, tries in due:
            if order not in sent:
                pause = text(f"INTERVAL {min(2**tries, limits.MAIL_PAUSE_MAX)} SECOND")
                late = {"due": func.now() + pause, "tries": tries + 1}
                session.execute(update(Letter).where(Letter.order == order).values(late))

    database.run(note, "orders")
    return len(sent)


def _send(orders: list[int]) -> list[int]:
    """Those that the server has taken."""
    sent = []
    try:
        with smtplib.SMTP(*settings.MAIL, timeout=limits.MAIL) as server:
            for order in orders:
                try:
                    server.send_message(letters.confirmation(order))
                    sent.append(order)
                except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
                    log.info("letter %s waits: %s", order, error)
    except (smtplib.SMTPException, OSError) as error:
        log.info("letters wait: %s", error)
    return sent
