package trustfile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"kiln/registry/promotion"
	"kiln/registry/promotion/trustfile"
)

// deploy asks a server what to run, and believes what trust.hcl says.
func deploy(ctx context.Context, server, image, channel, trustPath, stateDir string) (string, error) {
	trust, err := trustfile.Load(trustPath)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/api/v1/resolve?image="+image+"&channel="+channel, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer promotion.Resolution
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 64<<20)).Decode(&answer); err != nil {
		return "", err
	}
	opts := trust.Options(image, channel)
	opts.Seen = &promotion.Seen{Dir: stateDir} // refuses an older answer, played back
	if err := promotion.VerifyResolution(ctx, answer, opts); err != nil {
		return "", err
	}
	return answer.Reference, nil // by digest: whoever pulls it checks its bytes
}

// A deployer's program verifies an answer with trust.hcl.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ref, err := deploy(ctx, "http://127.0.0.1:5000", "acme/shop", "prod", "trust.hcl", filepath.Join(os.TempDir(), "seen"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "not deployed:", err)
		return
	}
	fmt.Println("deploy", ref)
}

// What a file says wrong is told by line.
func ExampleParse() {
	_, err := trustfile.Parse("trust.hcl", []byte(`
bake {
  image = "acme/**"
}
promote {
  image   = "acme/**"
  chanels = ["prod"]
}
`), nil)
	fmt.Println(err)
	// Output:
	// trust.hcl:2: bake: it names nobody: write key = file("bake.pub") or identity { issuer = … subject = … }
	// trust.hcl:5: promote: it names nobody: write key = file("promote.pub") or identity { issuer = … subject = … }
	// trust.hcl:7: promote: unknown attribute "chanels" (did you mean "channels"?)
}
