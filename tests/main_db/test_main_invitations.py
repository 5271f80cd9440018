"""An invitation's life: open once per company and address, then accepted or revoked, never both."""

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from main_db.models import Company, User, UserInvitation, UserRole
from migrator.urls import engine_url

NOW = datetime.now(UTC)
LAST_WEEK = NOW - timedelta(days=7)
OPEN_ONCE = "uq_user_invitations_open_company_id_lower_email"


def test_a_second_open_invitation_of_one_address_is_refused(product):
    company = product.company()
    product.invitation(email="new@acme.test", company_id=company)

    with product.refused_by(OPEN_ONCE):
        product.invitation(email="New@Acme.TEST", company_id=company, role="hiring_manager")


@pytest.mark.parametrize("end", ["revoked_at", "accepted_at"])
def test_a_new_invitation_is_possible_once_the_first_has_ended(product, end):
    company = product.company()
    first = product.invitation(email="new@acme.test", company_id=company)

    product.update("user_invitations", first, **{end: NOW})

    assert product.invitation(email="new@acme.test", company_id=company)


def test_a_revocation_cannot_be_taken_back_beside_a_newer_invitation(product):
    company = product.company()
    first = product.invitation(company_id=company, revoked_at=NOW)
    product.invitation(company_id=company)

    with product.refused_by(OPEN_ONCE):
        product.update("user_invitations", first, revoked_at=None)


def test_an_expired_invitation_is_open_until_it_is_revoked(product):
    company = product.company()
    first = product.invitation(company_id=company, created_at=LAST_WEEK, expires_at=NOW)

    with product.refused_by(OPEN_ONCE):
        product.invitation(company_id=company)
    product.update("user_invitations", first, revoked_at=NOW)
    assert product.invitation(company_id=company)


def test_two_companies_may_invite_the_same_person(product):
    assert product.invitation(email="new@acme.test", company_id=product.company())
    assert product.invitation(email="new@acme.test", company_id=product.company())


def test_an_invitation_to_the_products_admins_is_open_once_too(product):
    product.invitation(email="ops@headhunter.test", role="admin")

    with product.refused_by(OPEN_ONCE):
        product.invitation(email="Ops@headhunter.test", role="admin")


def test_staff_are_invited_into_a_company_and_candidates_not_at_all(product):
    with product.refused_by("ck_user_invitations_company_by_role"):
        product.invitation(role="recruiter", company_id=None)
    with product.refused_by("ck_user_invitations_company_by_role"):
        product.invitation(role="admin", company_id=product.company())
    with product.refused_by("ck_user_invitations_role_is_staff"):
        product.invitation(role="candidate")
    with product.refused_by("ck_user_invitations_role"):
        product.invitation(role="owner")


def test_a_token_is_kept_as_its_sha256_and_used_once(product):
    company = product.company()
    token_hash = secrets.token_bytes(32)
    product.invitation(email="one@acme.test", company_id=company, token_hash=token_hash)

    with product.refused_by("uq_user_invitations_token_hash"):
        product.invitation(email="two@acme.test", company_id=company, token_hash=token_hash)
    with product.refused_by("ck_user_invitations_token_hash_is_sha256"):
        product.invitation(email="two@acme.test", company_id=company, token_hash=b"the token itself")


def test_an_invitation_is_accepted_before_it_expires_and_not_after_it_was_revoked(product):
    company = product.company()

    with product.refused_by("ck_user_invitations_expires_after_created"):
        product.invitation(company_id=company, created_at=NOW, expires_at=NOW)
    with product.refused_by("ck_user_invitations_accepted_before_expiry"):
        product.invitation(
            company_id=company, created_at=LAST_WEEK, expires_at=LAST_WEEK + timedelta(days=1), accepted_at=NOW
        )
    with product.refused_by("ck_user_invitations_accepted_or_revoked"):
        product.invitation(company_id=company, accepted_at=NOW, revoked_at=NOW)


def test_an_invitation_outlives_its_inviter_but_not_its_company(product):
    company = product.company()
    inviter = product.staff(company)
    invitation = product.invitation(company_id=company, invited_by_id=inviter)

    product.delete("users", inviter)
    assert product.value("user_invitations", invitation, "invited_by_id") is None

    product.delete("companies", company)
    assert product.value("user_invitations", invitation, "id") is None


def test_the_models_write_and_read_what_the_database_keeps(main_database_url):
    engine = create_engine(engine_url(main_database_url))
    with Session(engine) as session:
        company = Company(name="Acme", slug=f"acme-{secrets.token_hex(4)}")
        session.add(company)
        session.flush()
        inviter = User(
            email=f"{secrets.token_hex(4)}@acme.test",
            full_name="Rita",
            role=UserRole.COMPANY_ADMIN,
            company_id=company.id,
        )
        session.add(inviter)
        session.flush()
        token_hash = secrets.token_bytes(32)
        session.add(
            UserInvitation(
                email="new@acme.test",
                role=UserRole.RECRUITER,
                company_id=company.id,
                invited_by_id=inviter.id,
                token_hash=token_hash,
                expires_at=NOW + timedelta(days=1),
            )
        )
        session.flush()
        session.expire_all()
        read = session.scalars(select(UserInvitation).where(UserInvitation.token_hash == token_hash)).one()

        assert read.role is UserRole.RECRUITER
        assert isinstance(read.id, UUID)
        assert read.created_at.utcoffset() is not None
        assert (read.accepted_at, read.revoked_at) == (None, None)
        read.revoked_at = NOW
        session.flush()
        assert read.updated_at >= read.created_at
        session.rollback()
    engine.dispose()
