"""The business database's tables.  Importing this package registers every one of them on ``MainBase.metadata``."""

from main_db.models.application import Application, ApplicationStatus
from main_db.models.base import MainBase
from main_db.models.company import Company, CompanyStatus
from main_db.models.job import EmploymentType, Job, JobStatus, Workplace
from main_db.models.user import User, UserRole
from main_db.models.user_invitation import UserInvitation

__all__ = [
    "Application",
    "ApplicationStatus",
    "Company",
    "CompanyStatus",
    "EmploymentType",
    "Job",
    "JobStatus",
    "MainBase",
    "User",
    "UserInvitation",
    "UserRole",
    "Workplace",
]
