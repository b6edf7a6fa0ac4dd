"""Let a name have two API keys, so that callers can change theirs without a break.

Revision ID: 0020
Create Date: 2026-11-29 10:06:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('api_key_successor',
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('prefix', sa.String(length=16), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['name'], ['api_key.name'], name=op.f('fk_api_key_successor_name')),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_api_key_successor')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_api_key_successor_token_hash'))
    )


def downgrade():
    op.drop_table('api_key_successor')
