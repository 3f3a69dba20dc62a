/* A LADSPA plugin over the C interface, mono and stereo. */
#include <ladspa.h>
#include <stdio.h>
#include <stdlib.h>

#include "timbre/timbre.h"

enum { kControls = 3, kMostChannels = 2, kMostPorts = 2 * kMostChannels + kControls + 1 };

/* Audio in, audio out, the controls, the latency. */
typedef struct {
  timbre_denoiser* denoiser;
  unsigned long channels;
  LADSPA_Data* ports[kMostPorts];
} Instance;

static const timbre_parameter kParameters[kControls] = {TIMBRE_ATTENUATION_LIMIT, TIMBRE_POST_FILTER_BETA, TIMBRE_MIX};

static LADSPA_Handle Instantiate(const LADSPA_Descriptor* descriptor, unsigned long rate) {
  char error[512];
  Instance* instance = calloc(1, sizeof *instance);
  if (instance == NULL) return NULL;
  instance->channels = (descriptor->PortCount - kControls - 1) / 2;
  instance->denoiser = timbre_denoiser_create(NULL, (int)rate, (int)instance->channels, error, sizeof error);
  if (instance->denoiser == NULL) {
    /* The host only learns that it failed; the user finds the reason in the host's log. */
    fprintf(stderr, "timbre: %s\n", error);
    free(instance);
    return NULL;
  }
  return instance;
}

static void ConnectPort(LADSPA_Handle handle, unsigned long port, LADSPA_Data* data) {
  Instance* instance = handle;
  if (port < kMostPorts) instance->ports[port] = data;
}

static void Activate(LADSPA_Handle handle) { timbre_denoiser_reset(((Instance*)handle)->denoiser); }

static void Run(LADSPA_Handle handle, unsigned long frames) {
  Instance* instance = handle;
  LADSPA_Data** controls = instance->ports + 2 * instance->channels;
  for (int i = 0; i < kControls; ++i) {
    if (controls[i] != NULL) timbre_denoiser_set(instance->denoiser, kParameters[i], *controls[i]);
  }
  if (controls[kControls] != NULL) *controls[kControls] = (LADSPA_Data)timbre_denoiser_latency(instance->denoiser);
  timbre_denoiser_process(instance->denoiser, (const float* const*)instance->ports,
                          (float* const*)(instance->ports + instance->channels), frames);
}

static void Cleanup(LADSPA_Handle handle) {
  timbre_denoiser_destroy(((Instance*)handle)->denoiser);
  free(handle);
}

#define CONTROL_IN (LADSPA_PORT_INPUT | LADSPA_PORT_CONTROL)
#define AUDIO_IN (LADSPA_PORT_INPUT | LADSPA_PORT_AUDIO)
#define AUDIO_OUT (LADSPA_PORT_OUTPUT | LADSPA_PORT_AUDIO)
#define CONTROL_PORTS CONTROL_IN, CONTROL_IN, CONTROL_IN, LADSPA_PORT_OUTPUT | LADSPA_PORT_CONTROL
/* "latency" is the name by which hosts find it. */
#define CONTROL_NAMES "Attenuation limit (dB)", "Post filter", "Mix", "latency"
#define BOUNDED (LADSPA_HINT_BOUNDED_BELOW | LADSPA_HINT_BOUNDED_ABOVE)
#define CONTROL_HINTS                                                                   \
  {BOUNDED | LADSPA_HINT_DEFAULT_100, 0, 100}, {BOUNDED | LADSPA_HINT_DEFAULT_0, 0, 1}, \
      {BOUNDED | LADSPA_HINT_DEFAULT_1, 0, 1}, {                                        \
    LADSPA_HINT_INTEGER, 0, 0                                                           \
  }

static const LADSPA_PortDescriptor kMonoPorts[] = {AUDIO_IN, AUDIO_OUT, CONTROL_PORTS};
static const char* const kMonoNames[] = {"Input", "Output", CONTROL_NAMES};
static const LADSPA_PortRangeHint kMonoHints[] = {{0, 0, 0}, {0, 0, 0}, CONTROL_HINTS};

static const LADSPA_PortDescriptor kStereoPorts[] = {AUDIO_IN, AUDIO_IN, AUDIO_OUT, AUDIO_OUT, CONTROL_PORTS};
static const char* const kStereoNames[] = {"Input left", "Input right", "Output left", "Output right", CONTROL_NAMES};
static const LADSPA_PortRangeHint kStereoHints[] = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, CONTROL_HINTS};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define COMMON                                                                                                      \
  .Properties = LADSPA_PROPERTY_HARD_RT_CAPABLE, .Maker = "timbre", .Copyright = "MIT", .instantiate = Instantiate, \
  .connect_port = ConnectPort, .activate = Activate, .run = Run, .cleanup = Cleanup

static const LADSPA_Descriptor kMono = {.UniqueID = 4716801,
                                        .Label = "timbre_denoise_mono",
                                        .Name = "timbre speech denoiser, mono",
                                        .PortCount = COUNT(kMonoPorts),
                                        .PortDescriptors = kMonoPorts,
                                        .PortNames = kMonoNames,
                                        .PortRangeHints = kMonoHints,
                                        COMMON};
static const LADSPA_Descriptor kStereo = {.UniqueID = 4716802,
                                          .Label = "timbre_denoise_stereo",
                                          .Name = "timbre speech denoiser, stereo",
                                          .PortCount = COUNT(kStereoPorts),
                                          .PortDescriptors = kStereoPorts,
                                          .PortNames = kStereoNames,
                                          .PortRangeHints = kStereoHints,
                                          COMMON};

__attribute__((visibility("default"))) const LADSPA_Descriptor* ladspa_descriptor(unsigned long index) {
  return index == 0 ? &kMono : index == 1 ? &kStereo : NULL;
}
