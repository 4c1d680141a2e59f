# Debian, a Java runtime and your app, one image on the other. app/ holds
# compiled classes; after a change in src/ make them again with:
#   javac --release 17 -g:none -d app src/Main.java
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
  packages = ["openjdk-17-jre-headless"]
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

  config {
    user       = "10001"
    workdir    = "/srv/app"
    entrypoint = ["java", "-XX:-UsePerfData", "-cp", "/srv/app", "Main"]
    env        = { PORT = "8080" }
    ports      = [8080]
  }

  test "healthy" {
    http {
      port   = 8080
      path   = "/healthz"
      body   = "ok"
      within = "30s"
    }
  }

  test "runtime" {
    command = ["java", "--version"]
    stdout  = "^openjdk 17\\."
  }
}
