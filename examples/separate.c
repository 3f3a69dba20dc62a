/* Separates a file into stems: separate FILE MODEL FOLDER. Ctrl-C ends it, and then nothing is left. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <timbre/timbre.h>

static timbre_job* job;

static void on_signal(int signal) {
  (void)signal;
  timbre_job_cancel(job);
}

static void on_event(void* user, const char* event) { fprintf((FILE*)user, "%s\n", event); }

/* Appends a name as a text of JSON. */
static void append(char* json, size_t size, const char* name) {
  size_t end = strlen(json);
  json[end++] = '"';
  for (; *name != '\0' && end + 4 < size; ++name) {
    if (*name == '"' || *name == '\\') json[end++] = '\\';
    json[end++] = *name;
  }
  json[end++] = '"';
  json[end] = '\0';
}

int main(int argc, char** argv) {
  char json[8192] = "{\"kind\": \"separate\", \"inputs\": [", error[512] = "";
  if (argc != 4 || strlen(argv[1]) + strlen(argv[2]) + strlen(argv[3]) > 3000) {
    fprintf(stderr, "usage: separate FILE MODEL FOLDER\n");
    return 2;
  }
  append(json, sizeof json, argv[1]);
  strcat(json, "], \"options\": {\"model\": ");
  append(json, sizeof json, argv[2]);
  strcat(json, ", \"output\": ");
  append(json, sizeof json, argv[3]);
  strcat(json, "}}");
  job = timbre_job_create(json, error, sizeof error);
  if (job == NULL) {
    fprintf(stderr, "%s\n", error);
    return 2;
  }
  signal(SIGINT, on_signal);
  const timbre_status status = timbre_job_run(job, on_event, stderr);
  if (status != TIMBRE_OK) fprintf(stderr, "%s\n", timbre_job_error(job));
  fputs(timbre_job_report(job), stdout);
  signal(SIGINT, SIG_DFL);
  timbre_job_destroy(job);
  return status;
}
