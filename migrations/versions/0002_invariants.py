"""The invariants that the database holds by itself.

I4 frozen set · I5 one immutable result · I6 attempts within the budget · I7 a terminal status is the function of the
rows · I8 statuses move up only. `run_status_of` says the same as `drishtiksha.domain.status.run_status`; a test holds
them together.
"""

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

FUNCTIONS = """
CREATE FUNCTION run_status_of(run uuid) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN (SELECT frozen_at IS NULL FROM analysis_runs WHERE id = run) THEN 'QUEUED'
    WHEN coalesce(bool_and(status = 'FAILED'), true) THEN 'FAILED'
    WHEN bool_and(status = 'COMPLETED') THEN 'ANALYZED'
    WHEN bool_and(status IN ('COMPLETED', 'FAILED')) THEN 'PARTIALLY_ANALYZED'
    WHEN bool_or(status <> 'PENDING') THEN 'PROCESSING'
    ELSE 'QUEUED'
  END FROM analyses WHERE run_id = run
$$;

CREATE FUNCTION run_status_may_change(was text, becomes text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT was = becomes
    OR (was = 'QUEUED' AND becomes IN ('PROCESSING', 'FAILED'))
    OR (was = 'PROCESSING' AND becomes IN ('ANALYZED', 'PARTIALLY_ANALYZED', 'FAILED'))
$$;

CREATE FUNCTION guard_run() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE kept analysis_runs;
BEGIN
  kept := NEW;
  IF NEW.requested_reason IS NULL THEN
    kept.requested_reason := OLD.requested_reason;  -- a person's words may be blanked, when the media is deleted
  END IF;
  IF OLD.status IN ('ANALYZED', 'PARTIALLY_ANALYZED', 'FAILED') AND kept IS DISTINCT FROM OLD THEN
    RAISE EXCEPTION 'I5: run % is final and does not change', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF NOT run_status_may_change(OLD.status, NEW.status) THEN
    RAISE EXCEPTION 'I8: run % may not go from % to %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
  END IF;
  IF OLD.frozen_at IS NOT NULL AND NEW.frozen_at IS DISTINCT FROM OLD.frozen_at THEN
    RAISE EXCEPTION 'I4: run % is frozen', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF (NEW.id, NEW.media_id, NEW.number) IS DISTINCT FROM (OLD.id, OLD.media_id, OLD.number) THEN
    RAISE EXCEPTION 'I3: run % does not change its name', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION guard_run_status() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE said text;
BEGIN
  SELECT status INTO said FROM analysis_runs WHERE id = NEW.id;  -- as it stands at COMMIT
  IF said IN ('ANALYZED', 'PARTIALLY_ANALYZED', 'FAILED') AND said <> run_status_of(NEW.id) THEN
    RAISE EXCEPTION 'I7: run % says % but its analyses say %', NEW.id, said, run_status_of(NEW.id)
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION guard_media() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.latest_run_number < OLD.latest_run_number THEN
    RAISE EXCEPTION 'I8: media % may not follow an older run', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.latest_run_number = OLD.latest_run_number
     AND (NOT run_status_may_change(OLD.status, NEW.status) OR NEW.latest_run_id <> OLD.latest_run_id) THEN
    RAISE EXCEPTION 'I8: media % may not go from % to % in one run', OLD.id, OLD.status, NEW.status
      USING ERRCODE = 'check_violation';
  END IF;
  IF OLD.deleted_at IS NOT NULL AND NEW IS DISTINCT FROM OLD THEN
    RAISE EXCEPTION 'I10: media % is deleted', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION guard_media_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM media m LEFT JOIN analysis_runs r ON r.id = m.latest_run_id AND r.media_id = m.id
             AND r.number = m.latest_run_number
             WHERE m.id = NEW.id AND m.deleted_at IS NULL AND m.status IS DISTINCT FROM r.status) THEN
    RAISE EXCEPTION 'I7: media % does not agree with its latest run', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION guard_new_analysis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT frozen_at IS NOT NULL FROM analysis_runs WHERE id = NEW.run_id) THEN
    RAISE EXCEPTION 'I4: the models of run % are frozen', NEW.run_id USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.status <> 'PENDING' OR NEW.attempt <> 0 THEN
    RAISE EXCEPTION 'I5: an analysis begins PENDING' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION guard_analysis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status IN ('COMPLETED', 'FAILED') AND NEW IS DISTINCT FROM OLD THEN
    RAISE EXCEPTION 'I5: analysis % is final and does not change', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.status <> OLD.status AND NOT (
       (OLD.status = 'PENDING' AND NEW.status IN ('PROCESSING', 'FAILED'))
    OR (OLD.status = 'PROCESSING' AND NEW.status IN ('COMPLETED', 'FAILED'))) THEN
    RAISE EXCEPTION 'I8: analysis % may not go from % to %', OLD.id, OLD.status, NEW.status
      USING ERRCODE = 'check_violation';
  END IF;
  IF (NEW.id, NEW.run_id, NEW.media_id, NEW.model, NEW.model_version, NEW.source, NEW.execution, NEW.budget)
     IS DISTINCT FROM
     (OLD.id, OLD.run_id, OLD.media_id, OLD.model, OLD.model_version, OLD.source, OLD.execution, OLD.budget) THEN
    RAISE EXCEPTION 'I4: what analysis % has to do is frozen', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.attempt NOT IN (OLD.attempt, OLD.attempt + 1) THEN
    RAISE EXCEPTION 'I6: attempts of analysis % are counted one by one', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION guard_analysis_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM media WHERE id = OLD.media_id AND deleted_at IS NULL) THEN
    RAISE EXCEPTION 'I2: analysis % goes only with its media', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN OLD;
END $$;

CREATE FUNCTION guard_new_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.number > (SELECT budget FROM analyses WHERE id = NEW.analysis_id) THEN
    RAISE EXCEPTION 'I6: the budget of analysis % is spent', NEW.analysis_id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION guard_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state IN ('SUCCEEDED', 'FAILED', 'FENCED') AND NEW.state <> OLD.state THEN
    RAISE EXCEPTION 'I11: attempt % has ended', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF (NEW.id, NEW.analysis_id, NEW.number) IS DISTINCT FROM (OLD.id, OLD.analysis_id, OLD.number)
     OR (OLD.job_uid IS NOT NULL AND NEW.job_uid IS DISTINCT FROM OLD.job_uid) THEN
    RAISE EXCEPTION 'I6: attempt % has one Job', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER guard_run BEFORE UPDATE ON analysis_runs FOR EACH ROW EXECUTE FUNCTION guard_run();
CREATE TRIGGER guard_media BEFORE UPDATE ON media FOR EACH ROW EXECUTE FUNCTION guard_media();
CREATE TRIGGER guard_new_analysis BEFORE INSERT ON analyses FOR EACH ROW EXECUTE FUNCTION guard_new_analysis();
CREATE TRIGGER guard_analysis BEFORE UPDATE ON analyses FOR EACH ROW EXECUTE FUNCTION guard_analysis();
CREATE TRIGGER guard_analysis_removal BEFORE DELETE ON analyses FOR EACH ROW EXECUTE FUNCTION guard_analysis_removal();
CREATE TRIGGER guard_new_attempt BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION guard_new_attempt();
CREATE TRIGGER guard_attempt BEFORE UPDATE ON attempts FOR EACH ROW EXECUTE FUNCTION guard_attempt();
CREATE CONSTRAINT TRIGGER guard_run_status AFTER INSERT OR UPDATE OF status ON analysis_runs
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION guard_run_status();
CREATE CONSTRAINT TRIGGER guard_media_status AFTER INSERT OR UPDATE OF status ON media
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION guard_media_status();
"""

TRIGGERS = {
    "analysis_runs": ["guard_run", "guard_run_status"],
    "media": ["guard_media", "guard_media_status"],
    "analyses": ["guard_new_analysis", "guard_analysis", "guard_analysis_removal"],
    "attempts": ["guard_new_attempt", "guard_attempt"],
}


def upgrade() -> None:
    op.execute(FUNCTIONS)


def downgrade() -> None:
    for table, names in TRIGGERS.items():
        for name in names:
            op.execute(f"DROP TRIGGER {name} ON {table}")
            op.execute(f"DROP FUNCTION {name}()")
    op.execute("DROP FUNCTION run_status_of(uuid)")
    op.execute("DROP FUNCTION run_status_may_change(text, text)")
