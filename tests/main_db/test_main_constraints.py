"""The rules that the business database keeps by itself, each proven by a row that it refuses."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from main_db.models import (
    ApplicationStatus,
    CompanyStatus,
    EmploymentType,
    JobStatus,
    UserRole,
    Workplace,
)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TOMORROW = datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize("role", ["recruiter", "hiring_manager", "company_admin"])
def test_staff_belong_to_a_company(product, role):
    with product.refused_by("ck_users_company_by_role"):
        product.user(role=role, company_id=None)
    assert product.user(role=role, company_id=product.company())


@pytest.mark.parametrize("role", ["admin", "candidate"])
def test_admins_and_candidates_belong_to_no_company(product, role):
    with product.refused_by("ck_users_company_by_role"):
        product.user(role=role, company_id=product.company())
    assert product.user(role=role)


def test_two_addresses_differ_by_more_than_case(product):
    product.user(email="Rita@Acme.test")

    with product.refused_by("uq_users_lower_email"):
        product.user(email="rita@acme.TEST")


@pytest.mark.parametrize("email", ["", "rita", "rita@", "@acme.test", "rita @acme.test", "a@b@c"])
def test_an_address_has_the_shape_of_one(product, email):
    with product.refused_by("ck_users_email_shape"):
        product.user(email=email)
    with product.refused_by("ck_user_invitations_email_shape"):
        product.invitation(email=email, company_id=product.company())


@pytest.mark.parametrize("slug", ["", "Acme", "acme-", "-acme", "acme--co", "acme co"])
def test_a_slug_fits_into_an_address(product, slug):
    with product.refused_by("ck_companies_slug_shape"):
        product.company(slug=slug)


def test_a_slug_is_taken_once(product):
    product.company(slug="acme")

    with product.refused_by("uq_companies_slug"):
        product.company(slug="acme")


def test_names_and_titles_are_not_blank(product):
    with product.refused_by("ck_companies_name_not_blank"):
        product.company(name="  ")
    with product.refused_by("ck_jobs_title_not_blank"):
        product.job(title="  ")


CHOICES = [
    ("companies", "status", CompanyStatus),
    ("users", "role", UserRole),
    ("jobs", "status", JobStatus),
    ("jobs", "workplace", Workplace),
    ("jobs", "employment_type", EmploymentType),
    ("applications", "status", ApplicationStatus),
]


@pytest.mark.parametrize(("table", "column", "choices"), CHOICES)
def test_a_choice_is_one_of_its_values(product, table, column, choices):
    definition = product.connection.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [f"ck_{table}_{column}"]
    ).fetchone()[0]

    assert all(f"'{value}'::" in definition for value in choices)
    assert definition.count("'::") == len(choices)


def test_a_value_that_is_no_choice_is_refused(product):
    with product.refused_by("ck_applications_status"):
        product.application(status="lost")
    with product.refused_by("ck_companies_status"):
        product.company(status="ACTIVE")


def test_a_company_with_people_or_jobs_cannot_be_deleted(product):
    employer, advertiser = product.company(), product.company()
    product.staff(employer)
    product.job(company_id=advertiser)

    with product.refused_by("fk_users_company_id_companies"):
        product.delete("companies", employer)
    with product.refused_by("fk_jobs_company_id_companies"):
        product.delete("companies", advertiser)


def test_only_drafts_were_never_opened(product):
    with product.refused_by("ck_jobs_opened_unless_draft"):
        product.job(status="open")
    with product.refused_by("ck_jobs_opened_unless_draft"):
        product.job(status="draft", opened_at=LONG_AGO)
    assert product.job(status="open", opened_at=LONG_AGO)


def test_only_closed_jobs_say_when_they_were_closed(product):
    with product.refused_by("ck_jobs_closed_at_by_status"):
        product.job(status="closed", opened_at=LONG_AGO)
    with product.refused_by("ck_jobs_closed_at_by_status"):
        product.job(status="open", opened_at=LONG_AGO, closed_at=LONG_AGO)
    with product.refused_by("ck_jobs_closed_after_opened"):
        product.job(status="closed", opened_at=LONG_AGO, closed_at=LONG_AGO - timedelta(days=1))
    assert product.job(status="closed", opened_at=LONG_AGO, closed_at=TOMORROW)


def test_a_salary_is_a_range_with_a_currency_or_nothing(product):
    salary = {"salary_min": Decimal(50000), "salary_max": Decimal(60000), "salary_currency": "EUR"}

    with product.refused_by("ck_jobs_salary_whole_or_absent"):
        product.job(**{**salary, "salary_currency": None})
    with product.refused_by("ck_jobs_salary_whole_or_absent"):
        product.job(salary_min=Decimal(1))
    with product.refused_by("ck_jobs_salary_range"):
        product.job(**{**salary, "salary_max": Decimal(49999)})
    with product.refused_by("ck_jobs_salary_range"):
        product.job(**{**salary, "salary_min": Decimal(-1)})
    with product.refused_by("ck_jobs_salary_currency_shape"):
        product.job(**{**salary, "salary_currency": "eur"})
    assert product.job(**salary)


def test_a_hiring_manager_is_of_the_jobs_own_company(product):
    ours, theirs = product.company(), product.company()

    with product.refused_by("fk_jobs_company_id_hiring_manager_id_users"):
        product.job(company_id=ours, hiring_manager_id=product.staff(theirs))
    assert product.job(company_id=ours, hiring_manager_id=product.staff(ours))


def test_a_hiring_manager_hands_the_jobs_over_before_changing_company(product):
    company = product.company()
    manager = product.staff(company)
    job = product.job(company_id=company, hiring_manager_id=manager)

    with product.refused_by("fk_jobs_company_id_hiring_manager_id_users"):
        product.update("users", manager, company_id=product.company())
    product.update("jobs", job, hiring_manager_id=None)
    product.update("users", manager, company_id=product.company())


def test_erasing_staff_leaves_their_jobs_with_the_company(product):
    company = product.company()
    person = product.staff(company)
    job = product.job(company_id=company, hiring_manager_id=person, created_by_id=person)

    product.delete("users", person)

    assert product.value("jobs", job, "company_id") == company
    assert product.value("jobs", job, "hiring_manager_id") is None
    assert product.value("jobs", job, "created_by_id") is None


def test_a_candidate_applies_once_for_a_job(product):
    job, candidate = product.job(), product.user()
    product.application(job_id=job, candidate_id=candidate)

    with product.refused_by("uq_applications_job_id_candidate_id"):
        product.application(job_id=job, candidate_id=candidate)
    assert product.application(candidate_id=candidate)
    assert product.application(job_id=job)


def test_a_job_with_applications_cannot_be_deleted(product):
    job = product.job()
    product.application(job_id=job)

    with product.refused_by("fk_applications_job_id_jobs"):
        product.delete("jobs", job)


def test_erasing_a_candidate_erases_the_applications(product):
    candidate = product.user()
    application = product.application(candidate_id=candidate)

    product.delete("users", candidate)

    assert product.value("applications", application, "id") is None


@pytest.mark.parametrize("table", ["companies", "users", "jobs", "applications", "user_invitations"])
def test_every_change_sets_updated_at_whoever_writes(product, table):
    make = {
        "companies": product.company,
        "users": product.user,
        "jobs": product.job,
        "applications": product.application,
        "user_invitations": lambda **values: product.invitation(company_id=product.company(), **values),
    }
    row = make[table](created_at=LONG_AGO, updated_at=LONG_AGO)

    product.update(table, row, created_at=LONG_AGO)

    assert product.value(table, row, "created_at") == LONG_AGO
    assert product.value(table, row, "updated_at") > LONG_AGO


def test_an_application_keeps_since_when_it_is_in_its_status(product):
    application = product.application(status_changed_at=LONG_AGO)

    product.update("applications", application, cover_letter="Dear all", status="submitted")
    assert product.value("applications", application, "status_changed_at") == LONG_AGO

    product.update("applications", application, status="screening")
    assert product.value("applications", application, "status_changed_at") > LONG_AGO
