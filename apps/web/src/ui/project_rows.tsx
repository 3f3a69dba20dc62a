// Projects as rows: what each is, the view that opens it, and its removal.
import { sentence } from "../model/api";
import { type ProjectSummary, removeProject } from "../model/project";
import { Symbol } from "./symbols";

interface ProjectRowsProps {
  projects: readonly ProjectSummary[];
  about: (project: ProjectSummary) => string;
  href: (project: ProjectSummary) => string;
  open: string; // what its link says to who does not see the row: "Open", the project's name
  remove: string; // likewise
  title: string; // of the button that removes
  onRemoved: () => Promise<void>;
  onError: (sentence: string) => void;
}

export function ProjectRows({ projects, about, href, open, remove, title, onRemoved, onError }: ProjectRowsProps) {
  return (
    <ul class="rows">
      {projects.map((project) => ({ project, name: project.name || "Unnamed" })).map(({ project, name }) => (
        <li key={project.id}>
          <div class="what">
            <p class="name">{name}</p>
            <p class="quiet">{about(project)}</p>
          </div>
          <a class="button" href={href(project)} aria-label={`${open} ${name}`}>
            Open
          </a>
          <button
            type="button"
            class="icon plain"
            title={title}
            aria-label={`${remove} ${name}`}
            onClick={() =>
              removeProject(project)
                .then(onRemoved)
                .catch((problem) => onError(sentence(problem)))
            }
          >
            <Symbol name="close" />
          </button>
        </li>
      ))}
    </ul>
  );
}
