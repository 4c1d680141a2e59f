project = "acme"

variable "version" {
  default = "1.4.0"
}

image "base" {
  tier = "base"
  debian {
    suite    = "bookworm"
    variant  = "minbase"                 # minbase | essential | distroless (no dpkg, no shell)
    packages = ["ca-certificates", "tzdata"]
  }
}

image "runtime" {
  tier     = "middleware"
  from     = image.base                  # or "acme/base@sha256:…" of the store, "host/name@sha256:…", channel("acme/base", "prod")
  packages = ["nodejs"]
}

image "shop" {
  tier    = "app"
  from    = image.runtime
  version = var.version
  copy {
    source  = "app"
    target  = "/srv/shop"
    owner   = "10001:10001"
    exclude = ["**/*.test.js"]
  }
  run {
    command = ["node", "--check", "server.js"]
    workdir = "/srv/shop"
    network = "none"                     # the default; "host" is recorded in the provenance as not hermetic
  }
  config {
    user       = "10001"
    workdir    = "/srv/shop"
    entrypoint = ["node", "server.js"]
    env        = { PORT = "8080" }
    ports      = [8080]
  }
  test "healthy" {
    http {
      port   = 8080
      path   = "/healthz"
      status = 200
      within = "10s"
    }
  }
  test "runtime" {
    command = ["node", "--version"]
    stdout  = "^v18\\."
  }
}
