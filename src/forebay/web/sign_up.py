"""Making an account in the browser, and what links in mails lead to: proving an address, a new password.

Opening a link changes nothing, because mail programs open links by themselves; the button does.
"""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.money import sign_up
from forebay.domain.money.sign_up import Applicant
from forebay.domain.people import accounts, addresses, passwords
from forebay.errors import ForebayError
from forebay.web.frame import START, Frame, Page, go, refusal
from forebay.web.sign_in import remember_next
from forebay.web.visits import Visit, with_next

SENT = "We have sent a mail to this address. Open the link in it to go on."
SENT_IF = "If this address has an account, we have sent a mail to it. Open the link in it to go on."


class SignUpPages:
    """The pages of one server."""

    def __init__(self, frame: Frame, providers: dict[str, str]) -> None:
        self.frame, self.providers = frame, providers

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.frame.page
        return [
            page("GET", "/sign-up", self.ask),
            page("POST", "/sign-up", self.sign_up, is_slow=True),
            page("GET", "/verify", self.ask_to_verify),
            page("POST", "/verify", self.verify),
            page("GET", "/forgot", self.ask_whom),
            page("POST", "/forgot", self.forgot),
            page("GET", "/reset", self.ask_password),
            page("POST", "/reset", self.reset, is_slow=True),
            page("GET", "/change-address", self.ask_to_change),
            page("POST", "/change-address", self.change_address),
        ]

    def values(self, visit: Visit) -> dict[str, object]:
        """What the form shows."""
        given = {name: (visit.form.get(name) or visit.query.get(name, ""))[:320] for name in ("email", "name")}
        return {"next": visit.next, "providers": self.providers, **given}

    def ask(self, visit: Visit) -> Page:
        """The form."""
        if visit.caller is not None:
            return go(visit.next or START)
        return Page(template="sign_up.html", values=self.values(visit))

    def sign_up(self, visit: Visit) -> Page:
        """Make the account; the answer is the same whether the address has one or not."""
        frame, form = self.frame, visit.form
        try:
            email, name = accounts.check_email(form.get("email", "")[:320]), accounts.check_name(form.get("name", ""))
            if frame.settings.sign_up == "invited":
                with frame.database.read() as connection:
                    accounts.refuse_uninvited(connection, email, now=visit.now)
            applicant = Applicant(
                email=email,
                name=name,
                password_hash=passwords.hash_new(form.get("password", ""), email=email, name=name),
            )
            with frame.database.begin() as connection:
                sign_up.sign_up(
                    connection,
                    applicant,
                    public_url=frame.public_url,
                    secret_key=frame.secret_key,
                    now=visit.now,
                    address=visit.address,
                )
        except ForebayError as error:
            return refusal("sign_up.html", error, **self.values(visit))
        frame.nudge("mails")
        remember_next(frame, visit)
        return Page(template="message.html", status=202, values={"title": "Look into your mailbox", "message": SENT})

    def ask_to_verify(self, visit: Visit) -> Page:
        """The button."""
        return Page(template="verify.html", values={"token": visit.query.get("token", "")[:200]})

    def verify(self, visit: Visit) -> Page:
        """Prove an address, and say how it went."""
        frame = self.frame
        try:
            with frame.database.begin() as connection:
                sign_up.verify(
                    connection,
                    visit.form.get("token", "")[:200],
                    secret_key=frame.secret_key,
                    now=visit.now,
                    address=visit.address,
                )
        except ForebayError as error:
            return refusal("verify.html", error, token=None)
        return Page(
            template="message.html",
            values={
                "title": "Prove your address",
                "message": "Your address is proved. You can sign in now.",
                "link": "/sign-in",
                "label": "Sign in",
            },
        )

    def ask_whom(self, visit: Visit) -> Page:
        """Whose password is forgotten?"""
        return Page(template="forgot.html", values={"email": visit.query.get("email", "")[:320]})

    def forgot(self, visit: Visit) -> Page:
        """Mail a link; the answer is the same whether the address has an account or not."""
        frame = self.frame
        with frame.database.begin() as connection:
            passwords.forgot(
                connection,
                visit.form.get("email", "")[:320],
                public_url=frame.public_url,
                secret_key=frame.secret_key,
                now=visit.now,
                address=visit.address,
            )
        frame.nudge("mails")
        return Page(template="message.html", status=202, values={"title": "Look into your mailbox", "message": SENT_IF})

    def ask_password(self, visit: Visit) -> Page:
        """The form for the new password."""
        return Page(template="reset.html", values={"token": visit.query.get("token", "")[:200]})

    def reset(self, visit: Visit) -> Page:
        """Set the new password by means of the link."""
        frame, token = self.frame, visit.form.get("token", "")[:200]
        try:
            with frame.database.begin() as connection:
                account = passwords.whose_link(
                    connection, token, secret_key=frame.secret_key, now=visit.now, address=visit.address
                )
            hashed = passwords.hash_new(visit.form.get("password", ""), email=account.email, name=account.name)
            with frame.database.begin() as connection:
                passwords.reset(
                    connection,
                    token,
                    hashed,
                    secret_key=frame.secret_key,
                    public_url=frame.public_url,
                    now=visit.now,
                    address=visit.address,
                )
        except ForebayError as error:
            return refusal("reset.html", error, token=token)
        frame.nudge("mails")
        return Page(
            template="message.html",
            values={
                "title": "A new password",
                "message": "Your password is set, and all sessions have ended. You can sign in now.",
                "link": with_next("/sign-in", ""),
                "label": "Sign in",
            },
        )

    def ask_to_change(self, visit: Visit) -> Page:
        """The button."""
        return Page(template="change_address.html", values={"token": visit.query.get("token", "")[:200]})

    def change_address(self, visit: Visit) -> Page:
        """One of both mailboxes agrees."""
        frame = self.frame
        try:
            with frame.database.begin() as connection:
                is_done = addresses.prove(
                    connection,
                    visit.form.get("token", "")[:200],
                    secret_key=frame.secret_key,
                    public_url=frame.public_url,
                    now=visit.now,
                    address=visit.address,
                )
        except ForebayError as error:
            return refusal("change_address.html", error, token=None)
        frame.nudge("mails")
        said = "Your address is changed." if is_done else "The change happens once the other address has agreed too."
        return Page(template="message.html", values={"title": "Change of address", "message": said})
