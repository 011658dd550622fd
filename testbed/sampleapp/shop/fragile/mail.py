"""Mistake: what cannot be sent now is never sent.

A greylisting server says "later" (451), which is caught, logged and forgotten; one that hangs stops
the worker. Mend: shop/resilient/mail.py.
"""

import logging
import smtplib

from shop import letters, settings

log = logging.getLogger(__name__)


def send(order: int) -> None:
    try:
        with smtplib.SMTP(*settings.MAIL) as server:
            server.send_message(letters.confirmation(order))
    except (smtplib.SMTPException, OSError) as error:
        log.warning("no mail for order %s: %s", order, error)
