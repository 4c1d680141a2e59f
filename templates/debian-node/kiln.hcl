# Debian, Node.js and your app, one image on the other.
# Bake it with: kiln bake .

project = "example"

variable "version" {
  default = "0.1.0"
}

image "base" {
  tier = "base"
  debian {
    suite    = "bookworm"
    packages = ["ca-certificates", "tzdata"]
  }
}

image "runtime" {
  tier     = "middleware"
  from     = image.base
  packages = ["nodejs"]
}

image "app" {
  tier    = "app"
  from    = image.runtime
  version = var.version

  copy {
    source = "app"
    target = "/srv/app"
    owner  = "10001:10001"
  }

  run {
    command = ["node", "--check", "server.js"]
    workdir = "/srv/app"
  }

  config {
    user       = "10001"
    workdir    = "/srv/app"
    entrypoint = ["node", "server.js"]
    env        = { PORT = "8080", NODE_ENV = "production" }
    ports      = [8080]
  }

  test "healthy" {
    http {
      port   = 8080
      path   = "/healthz"
      body   = "ok"
      within = "10s"
    }
  }

  test "runtime" {
    command = ["node", "--version"]
    stdout  = "^v18\\."
  }
}
