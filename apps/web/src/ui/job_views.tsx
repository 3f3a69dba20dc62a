// What the views of one kind of job share: the list of its jobs with a form for the next, a job that is opened, its report.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { getJson, sentence } from "../model/api";
import { findJob, jobs, loadJob, running } from "../model/jobs";
import { go } from "../model/route";
import { type Job, isOver } from "../model/types";
import { type FormInput, JobForm } from "./job_form";
import { JobRow } from "./jobs_list";
import { Pick } from "./pick";
import { Title } from "./title";

// The job of that id where it is done; how far it is where it is not.
export function OpenJob({ id, children }: { id: string; children: (job: Job) => ComponentChildren }) {
  useEffect(() => void loadJob(id), [id]);
  const job = findJob(id);
  if (!job) return <p class="empty">There is no such job any more.</p>;
  if (job.state === "succeeded") return <>{children(job)}</>;
  return (
    <ul class="sheet rows">
      <JobRow job={job} />
    </ul>
  );
}

// Opens what comes of a job below `path`, when it is done: what is returned takes the job.
export function useOpenWhenDone(...path: [string, ...string[]]): (job: Job | undefined) => void {
  const wanted = useSignal("");
  const waited = findJob(wanted.value);
  useEffect(() => {
    if (waited?.state !== "succeeded") return;
    wanted.value = "";
    go(...path, waited.id);
  }, [waited?.state]);
  return (job) => (wanted.value = job?.id ?? "");
}

// The report of a job that is done: null until it is there, empty where it has none.
export function useReport<Report extends object>(job: Job): { report: Partial<Report> | null; problem: string } {
  const report = useSignal<Partial<Report> | null>(null);
  const problem = useSignal("");
  useEffect(() => {
    getJson<{ report: Report | null }>(`/v1/jobs/${job.id}/result`).then(
      (result) => (report.value = result.report ?? {}),
      (error) => (problem.value = sentence(error)),
    );
  }, [job.id]);
  return { report: report.value, problem: problem.value };
}

interface JobsOfKindProps {
  kind: string;
  view: string; // that opens what came of one
  title: string;
  about: string;
  pick: { label: string; text: string; made?: boolean };
  list: string; // what the list is called
  children: ComponentChildren; // where it is empty
}

export function JobsOfKind({ kind, view, title, about, pick, list, children }: JobsOfKindProps) {
  const form = useSignal<FormInput | null>(null);
  const open = useOpenWhenDone(view);
  // What is made of hits that were found before is no listening.
  const own = [...running.value, ...jobs.value.filter((job) => isOver(job.state))].filter((job) => job.kind === kind && !("hits" in job.options));
  return (
    <>
      <Title title={title} about={about}>
        <Pick {...pick} onPick={(asset) => (form.value = { asset: asset.id, name: asset.name })} />
      </Title>
      <section class="sheet" aria-label={list}>
        {own.length === 0 ? (
          <p class="empty">{children}</p>
        ) : (
          <ul class="rows">
            {own.map((job) => (
              <JobRow key={job.id} job={job} />
            ))}
          </ul>
        )}
      </section>
      {form.value && <JobForm inputs={[form.value]} kind={kind} fixed onClose={() => (form.value = null)} onMade={([made]) => open(made)} />}
    </>
  );
}
