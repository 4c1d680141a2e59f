# A static Go program on a base without shell or package manager. dist/ holds
# the program; after a change make it again with:
#   CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -buildid=" -o dist/server .
# Bake it with: kiln bake .

project = "example"

variable "version" {
  default = "0.1.0"
}

image "base" {
  tier = "base"
  debian {
    suite    = "bookworm"
    variant  = "distroless"
    packages = ["ca-certificates", "tzdata"]
  }
}

image "app" {
  tier    = "app"
  from    = image.base
  version = var.version

  copy {
    source = "dist/server"
    target = "/server"
    mode   = "0755"
  }

  config {
    user       = "10001"
    entrypoint = ["/server"]
    env        = { PORT = "8080" }
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

  test "version" {
    command = ["/server", "-version"]
    stdout  = "^server "
  }
}
