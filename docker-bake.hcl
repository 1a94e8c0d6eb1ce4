# Made by `python -m builder.image_files`: for each model an image with its weights. `docker buildx bake` alone makes
# the image without weights. It serves the models of this repository, RunPod's cached models, and those on a network
# volume. A target has two variants if the one continues the clips of the other. One whose name ends in that of a sound
# model has that too. Weights whose terms must be accepted need HF_TOKEN in the environment, and those under Tencent's
# licence ACCEPT_TENCENT_LICENSE=true. `videoworker models` says how many GB each has. RunPod takes images up to 80 GB.

variable "IMAGE" {
  default = "worker-video"
}

# As in src/videoworker/__init__.py.
variable "VERSION" {
  default = "0.1.0"
}

variable "ACCEPT_TENCENT_LICENSE" {
  default = "false"
}

target "default" {
  platforms = ["linux/amd64"]
  args      = { VERSION = VERSION }
  secret    = ["id=HF_TOKEN,env=HF_TOKEN"]
  tags      = ["${IMAGE}:${VERSION}"]
}

# The gateway, which has no weights.
target "gateway" {
  inherits = ["default"]
  target   = "gateway"
  tags     = ["${IMAGE}:${VERSION}-gateway"]
}

# What needs no weights from elsewhere.
group "shipped" {
  targets = ["default", "gateway", "sketch"]
}

target "hunyuanvideo-1_5" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5"]
}

target "hunyuanvideo-1_5-foley" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", SOUND_MODEL = "foley", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5-foley"]
}

target "hunyuanvideo-1_5-720p-t2v" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", MODEL_VARIANT = "720p-t2v,720p-i2v", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5-720p-t2v"]
}

target "hunyuanvideo-1_5-720p-i2v" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", MODEL_VARIANT = "720p-i2v", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5-720p-i2v"]
}

target "hunyuanvideo-1_5-720p-i2v-distilled" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", MODEL_VARIANT = "720p-i2v-distilled", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5-720p-i2v-distilled"]
}

target "hunyuanvideo-1_5-480p-t2v" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", MODEL_VARIANT = "480p-t2v,480p-i2v", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5-480p-t2v"]
}

target "hunyuanvideo-1_5-480p-t2v-distilled" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", MODEL_VARIANT = "480p-t2v-distilled,480p-i2v-distilled", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5-480p-t2v-distilled"]
}

target "hunyuanvideo-1_5-480p-i2v" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", MODEL_VARIANT = "480p-i2v", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5-480p-i2v"]
}

target "hunyuanvideo-1_5-480p-i2v-distilled" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", MODEL_VARIANT = "480p-i2v-distilled", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5-480p-i2v-distilled"]
}

target "hunyuanvideo-1_5-480p-i2v-step-distilled" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo-1.5", MODEL_VARIANT = "480p-i2v-step-distilled", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-1.5-480p-i2v-step-distilled"]
}

target "hunyuanvideo" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo"]
}

target "hunyuanvideo-foley" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo", SOUND_MODEL = "foley", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-foley"]
}

target "hunyuanvideo-i2v" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo", MODEL_VARIANT = "i2v", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-i2v"]
}

target "hunyuanvideo-i2v-33ch" {
  inherits = ["default"]
  args     = { MODEL = "hunyuanvideo", MODEL_VARIANT = "i2v-33ch", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-hunyuanvideo-i2v-33ch"]
}

target "wan" {
  inherits = ["default"]
  args     = { MODEL = "wan" }
  tags     = ["${IMAGE}:${VERSION}-wan"]
}

target "wan-foley" {
  inherits = ["default"]
  args     = { MODEL = "wan", SOUND_MODEL = "foley", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-wan-foley"]
}

target "wan-t2v-a14b" {
  inherits = ["default"]
  args     = { MODEL = "wan", MODEL_VARIANT = "t2v-a14b" }
  tags     = ["${IMAGE}:${VERSION}-wan-t2v-a14b"]
}

target "wan-i2v-a14b" {
  inherits = ["default"]
  args     = { MODEL = "wan", MODEL_VARIANT = "i2v-a14b" }
  tags     = ["${IMAGE}:${VERSION}-wan-i2v-a14b"]
}

target "mochi" {
  inherits = ["default"]
  args     = { MODEL = "mochi" }
  tags     = ["${IMAGE}:${VERSION}-mochi"]
}

target "mochi-foley" {
  inherits = ["default"]
  args     = { MODEL = "mochi", SOUND_MODEL = "foley", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-mochi-foley"]
}

target "ltx" {
  inherits = ["default"]
  args     = { MODEL = "ltx" }
  tags     = ["${IMAGE}:${VERSION}-ltx"]
}

target "ltx-foley" {
  inherits = ["default"]
  args     = { MODEL = "ltx", SOUND_MODEL = "foley", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-ltx-foley"]
}

target "open-sora" {
  inherits = ["default"]
  args     = { MODEL = "open-sora", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-open-sora"]
}

target "open-sora-foley" {
  inherits = ["default"]
  args     = { MODEL = "open-sora", SOUND_MODEL = "foley", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-open-sora-foley"]
}

target "cogvideox" {
  inherits = ["default"]
  args     = { MODEL = "cogvideox" }
  tags     = ["${IMAGE}:${VERSION}-cogvideox"]
}

target "cogvideox-foley" {
  inherits = ["default"]
  args     = { MODEL = "cogvideox", SOUND_MODEL = "foley", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE }
  tags     = ["${IMAGE}:${VERSION}-cogvideox-foley"]
}

target "cogvideox-2b" {
  inherits = ["default"]
  args     = { MODEL = "cogvideox", MODEL_VARIANT = "2b,5b-i2v" }
  tags     = ["${IMAGE}:${VERSION}-cogvideox-2b"]
}

target "cogvideox-5b" {
  inherits = ["default"]
  args     = { MODEL = "cogvideox", MODEL_VARIANT = "5b,5b-i2v" }
  tags     = ["${IMAGE}:${VERSION}-cogvideox-5b"]
}

target "cogvideox-5b-i2v" {
  inherits = ["default"]
  args     = { MODEL = "cogvideox", MODEL_VARIANT = "5b-i2v" }
  tags     = ["${IMAGE}:${VERSION}-cogvideox-5b-i2v"]
}

target "cogvideox-1_5-5b" {
  inherits = ["default"]
  args     = { MODEL = "cogvideox", MODEL_VARIANT = "1.5-5b,1.5-5b-i2v" }
  tags     = ["${IMAGE}:${VERSION}-cogvideox-1.5-5b"]
}

target "cogvideox-1_5-5b-i2v" {
  inherits = ["default"]
  args     = { MODEL = "cogvideox", MODEL_VARIANT = "1.5-5b-i2v" }
  tags     = ["${IMAGE}:${VERSION}-cogvideox-1.5-5b-i2v"]
}

target "sketch" {
  inherits = ["default"]
  args     = { MODEL = "sketch" }
  tags     = ["${IMAGE}:${VERSION}-sketch"]
}
