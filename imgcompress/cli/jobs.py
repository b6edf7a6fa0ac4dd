"""`imgcompress submit`, `status`, `jobs` …: the jobs of a service, from a shell."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..client import Client, Job, JobUnfinished, Submission
from ..file_names import output_name
from .options import (
    INTERRUPTED,
    NO_SERVICE,
    Tolerance,
    catalogue_options,
    check_output,
    compression_options,
    delimiter_for,
    end_with,
    fail_over,
    fields_of,
    with_client,
)
from .progress import ImageProgress, show_failures, show_totals

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_wait = click.option("--wait", is_flag=True, help="Wait until the job has ended.")
_timeout = click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="How long to wait at most."
)
_request_id = click.argument("request_id", metavar="ID")


@click.command("submit")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_wait
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Wait, and save the output here: a CSV, or .xlsx for a workbook.",
)
@_timeout
@fail_over
@compression_options
@catalogue_options
@click.option("--webhook-url", metavar="URL", help="Where changes of the job's status are sent.")
@click.option(
    "--email", metavar="ADDRESS", help="The address that receives the output CSV by e-mail."
)
@click.option("--dry-run", is_flag=True, help="Check the file, and start nothing.")
@click.option(
    "--idempotency-key",
    metavar="TEXT",
    help="A text; within 24 hours, repeated uploads with the same text make one job.",
)
@as_json
@with_client
def submit(
    client: Client,
    file: Path,
    wait: bool,
    output: Path | None,
    timeout: float | None,
    fail_over: Tolerance,
    dry_run: bool,
    idempotency_key: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Upload the catalogue FILE to a service.

    Prints the id of the job. With --wait or -o, the exit code is 0 if every image was compressed,
    and 1 if some failed.
    """
    if output is not None:
        check_output(output, file)
    fields = fields_of(options)
    fields |= {name: options[name] for name in ("webhook_url", "email") if options[name]}
    if dry_run:
        _show_check(client.submit(file, dry_run=True, **fields), as_json)
        return
    submission = client.submit(file, idempotency_key=idempotency_key, **fields)
    for warning in submission.warnings:
        click.echo(f"Warning: {warning.message}", err=True)
    if not (wait or output):
        click.echo(json.dumps(asdict(submission)) if as_json else submission.request_id)
        return
    if not as_json:
        click.echo(submission.request_id)
    job = _follow(client, submission.request_id, timeout)
    if output is not None and job.status != "CANCELLED":
        delimiter = delimiter_for(output, job.download_format)
        saved = client.download(job.request_id, output, delimiter=delimiter)
        click.echo(f"Output: {saved}", err=True)
    if as_json:
        _print_json(job)
    end_with(job, fail_over)


@click.command("status")
@_request_id
@_wait
@_timeout
@fail_over
@as_json
@with_client
def status(
    client: Client,
    request_id: str,
    wait: bool,
    timeout: float | None,
    fail_over: Tolerance,
    as_json: bool,
) -> None:
    """Show the progress of job ID, and its failures by reason.

    With --wait, the exit code is that of the job, as for submit.
    """
    job = _follow(client, request_id, timeout) if wait else client.status(request_id)
    if as_json:
        _print_json(job)
    elif not wait:
        click.echo(_line(job))
        show_failures(job.errors)
    if wait:
        end_with(job, fail_over)


@click.command("jobs")
@click.option(
    "--status",
    type=click.Choice(("PENDING", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED"), False),
    help="Only jobs in this status.",
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@as_json
@with_client
def jobs(client: Client, status: str | None, limit: int, as_json: bool) -> None:
    """List the jobs, the newest first."""
    job = None
    for _, job in zip(range(limit), client.jobs(status=status), strict=False):
        if as_json:
            _print_json(job)
        else:
            click.echo(f"{_line(job)}  {job.source_filename}")
    if job is None:
        click.echo("There are no such jobs." if status else "There are no jobs.", err=True)


@click.command("download")
@_request_id
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write; for a workbook, .csv gives a CSV.  [default: the name of the upload,"
    " with -compressed]",
)
@click.option("--archive", is_flag=True, help="A ZIP of the images instead of the CSV.")
@click.option("--errors", is_flag=True, help="A list of the failed images instead of the CSV.")
@click.option("--report", is_flag=True, help="A list of all images, with their changes.")
@click.option("--partial", is_flag=True, help="The results so far, while the job runs.")
@with_client
def download(
    client: Client,
    request_id: str,
    output: Path | None,
    archive: bool,
    errors: bool,
    report: bool,
    partial: bool,
) -> None:
    """Save the output of job ID, or its images."""
    if archive + errors + report > 1:
        raise click.UsageError("Choose one of --archive, --errors and --report.")
    job = client.status(request_id)
    if output is None:
        lists = {"-images.zip": archive, "-errors.csv": errors, "-report.csv": report}
        plain = f"-compressed.{job.download_format}"
        ending = next((name for name, chosen in lists.items() if chosen), plain)
        output = Path(output_name(job.source_filename, ending))
        if output.exists():
            raise click.UsageError(f"{output} already exists; choose another name with -o.")
    if archive:
        saved = client.archive(request_id, output, partial=partial)
    else:
        is_list = errors or report
        delimiter = None if is_list else delimiter_for(output, job.download_format)
        saved = client.download(
            request_id, output, partial=partial, errors=errors, report=report, delimiter=delimiter
        )
    click.echo(saved)


@click.command("retry")
@_request_id
@click.option(
    "--codes",
    metavar="CODES",
    help="Only images that failed with these codes, separated by commas.",
)
@_wait
@_timeout
@fail_over
@with_client
def retry(
    client: Client,
    request_id: str,
    codes: str | None,
    wait: bool,
    timeout: float | None,
    fail_over: Tolerance,
) -> None:
    """Try the failed images of job ID again; resume a cancelled job."""
    job = client.retry(request_id, codes.split(",") if codes else ())
    if not wait:
        click.echo(_line(job))
        return
    end_with(_follow(client, request_id, timeout), fail_over)


@click.command("cancel")
@_request_id
@with_client
def cancel(client: Client, request_id: str) -> None:
    """Stop job ID; finished images are kept."""
    click.echo(_line(client.cancel(request_id)))


@click.command("delete")
@_request_id
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_client
def delete(client: Client, request_id: str, yes: bool) -> None:
    """Delete job ID with its images and files."""
    if not yes:
        job = client.status(request_id)
        click.confirm(
            f"Delete the job of {job.source_filename} with its {job.completed_images:,} compressed"
            " images? Their URLs stop working.",
            abort=True,
        )
    client.delete(request_id)
    click.echo(f"Deleted {request_id}.", err=True)


def _follow(client: Client, request_id: str, timeout: float | None) -> Job:
    """Show the progress of a job until it has ended, and its result; return it."""
    try:
        with ImageProgress() as progress:
            job = client.wait(
                request_id,
                timeout=timeout,
                on_change=lambda job: progress.show(
                    job.completed_images + job.failed_images, job.total_images, job.failed_images
                ),
            )
    except KeyboardInterrupt:
        click.echo(
            f"\nThe job continues. To wait again: imgcompress status {request_id} --wait", err=True
        )
        raise SystemExit(INTERRUPTED) from None
    except JobUnfinished as unfinished:
        click.echo(f"{unfinished.message} It continues.", err=True)
        raise SystemExit(NO_SERVICE) from None
    if job.status == "CANCELLED":
        click.echo("The job was cancelled.", err=True)
    show_totals(job.total_images, job.failed_images, job.input_bytes, job.output_bytes)
    show_failures(job.errors)
    return job


def _show_check(checked: Submission, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(checked)))
        return
    click.echo(f"{checked.total_rows:,} rows, {checked.total_images:,} images. {checked.message}")
    for issue in (*checked.errors, *checked.warnings):
        click.echo(f"  row {issue.row}: {issue.message}" if issue.row else f"  {issue.message}")


def _print_json(job: Job) -> None:
    click.echo(json.dumps(asdict(job), default=lambda time: time.isoformat()))


def _line(job: Job) -> str:
    done = job.completed_images + job.failed_images
    parts = [
        f"{job.request_id}  {job.status:<10}  {job.completion_percentage:3} %",
        f"{done:,} of {job.total_images:,} images",
    ]
    if job.failed_images:
        parts.append(f"{job.failed_images:,} failed")
    if job.eta_seconds is not None:
        parts.append(f"about {job.eta_seconds} s left")
    return "  ".join(parts)
