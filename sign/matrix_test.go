//go:build full

package sign

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"

	"kiln/sign/sigstoretest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// cosignPeer is a version of cosign.
type cosignPeer struct {
	name    string
	program string
	sign    []string // what sign and attest need to ask nobody
	format  string   // the option that says whether to write bundles
}

// matrix is who signs and who verifies, on one registry with one Sigstore.
type matrix struct {
	*peer
	store *testSigstore
	root  []byte
	key   *Signer
	by    *Verifier // the key or the identity, and signatures that name no image
	pub   string    // the key that cosign verifies with
	who   string    // the identity
}

func newMatrix(t *testing.T) *matrix {
	m := &matrix{peer: newPeer(t), store: newSigstore(t), pub: "bake.pub", who: robot}
	m.root = m.store.root(sigstoretest.Log, sigstoretest.Timestamps)
	m.key = m.kilnKey("bake")
	m.kilnKey("other")
	m.write("sigstore.json", string(m.root))
	m.write("predicate.json", `{"spdxVersion":"SPDX-2.3"}`)
	token, err := sigstoretest.Token(issuer, robot)
	if err != nil {
		t.Fatal(err)
	}
	m.write("token", token)
	m.writeTrust()
	if m.by, err = NewVerifierFor(VerifierConfig{TrustedRoot: m.root, Nameless: true, Principals: []Principal{
		{Key: m.key.PublicPEM()}, {Identity: &Identity{Issuer: issuer, Subject: robot}},
	}}); err != nil {
		t.Fatal(err)
	}
	return m
}

// writeTrust writes what cosign 2 reads in place of a trusted root.
func (m *matrix) writeTrust() {
	m.t.Helper()
	trusted, err := root.NewTrustedRootFromJSON(m.root)
	if err != nil {
		m.t.Fatal(err)
	}
	var certs bytes.Buffer
	for _, authority := range trusted.FulcioCertificateAuthorities() {
		ca := authority.(*root.FulcioCertificateAuthority)
		for _, cert := range append(ca.Intermediates, ca.Root) {
			if err := pem.Encode(&certs, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	m.write("fulcio.pem", certs.String())
	for _, log := range trusted.RekorLogs() {
		key, err := newPublicKey(log.PublicKey)
		if err != nil {
			m.t.Fatal(err)
		}
		m.write("rekor.pub", string(pem.EncodeToMemory(&pem.Block{Type: publicPEM, Bytes: key.der})))
	}
}

// run runs a cosign.
func (m *matrix) run(program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Dir = m.dir
	cmd.Env = []string{
		"HOME=" + m.dir, "PATH=" + os.Getenv("PATH"), "COSIGN_PASSWORD=secret", "no_proxy=*",
		"SIGSTORE_ROOT_FILE=fulcio.pem", "SIGSTORE_REKOR_PUBLIC_KEY=rekor.pub",
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return nil
}

// signed makes an image that one has signed and attested in one layout.
type signed func(m *matrix, repo string, img ocispec.Descriptor) error

func kilnSigns(keyless, bundle bool) signed {
	return func(m *matrix, repo string, img ocispec.Descriptor) error {
		ctx, s := context.Background(), m.key
		if keyless {
			s = m.store.signer(robot)
		}
		if bundle {
			if err := s.signBundle(ctx, m.ev, repo, img); err != nil {
				return err
			}
			_, err := s.Attest(ctx, m.ev, repo, img, SPDXPredicate, map[string]string{"spdxVersion": "SPDX-2.3"})
			return err
		}
		if err := s.signTag(ctx, m.ev, repo, img); err != nil {
			return err
		}
		st, err := newAttestation(repo, img.Digest, SPDXPredicate, map[string]string{"spdxVersion": "SPDX-2.3"})
		if err != nil {
			return err
		}
		content, err := s.bundle(ctx, st, maxBundle)
		if err != nil {
			return err
		}
		b, err := decodeBundle(content)
		if err != nil {
			return err
		}
		return attestationLayout().add(ctx, m.ev, repo, img, func([]ocispec.Descriptor) (ocispec.Descriptor, error) {
			return pushEnvelope(ctx, m.ev, repo, SPDXPredicate, b)
		})
	}
}

func (c cosignPeer) signs(keyless, bundle bool) signed {
	return func(m *matrix, repo string, img ocispec.Descriptor) error {
		who := []string{"--key", "bake.key", "--tlog-upload=false"}
		if keyless {
			who = []string{"--fulcio-url", m.store.url, "--rekor-url", m.store.url, "--identity-token", "token"}
			if c.program != "cosign3" {
				who = append(who, "--insecure-skip-verify")
			}
			if bundle || c.program == "cosign3" {
				who = append(who, "--trusted-root", "sigstore.json")
			}
		}
		who = append(append(who, "--yes", fmt.Sprintf(c.format, bundle)), c.sign...)
		ref := m.ref(repo, img.Digest)
		if err := m.run(c.program, append(append([]string{"sign"}, who...), ref)...); err != nil {
			return err
		}
		return m.run(c.program, append(append([]string{"attest", "--type", "spdxjson", "--predicate", "predicate.json"}, who...), ref)...)
	}
}

// verifies is an error unless one believes the signature and the attestation.
type verifies func(m *matrix, keyless, bundle bool, repo string, d digest.Digest) error

func kilnVerifies(m *matrix, _, bundle bool, repo string, d digest.Digest) error {
	ctx := context.Background()
	got, err := m.by.VerifyImage(ctx, m.ev, repo, d)
	if err != nil {
		return err
	}
	if layout := map[bool]string{true: LayoutBundle, false: LayoutTag}[bundle]; len(got) != 1 || got[0].Layout != layout {
		return fmt.Errorf("signatures %+v", got)
	}
	atts, err := m.by.Attestations(ctx, m.ev, repo, d, SPDXPredicate)
	if err == nil && len(atts) != 1 {
		err = fmt.Errorf("%d attestations", len(atts))
	}
	return err
}

func (c cosignPeer) verifies(m *matrix, keyless, bundle bool, repo string, d digest.Digest) error {
	who := []string{"--key", m.pub, "--private-infrastructure", "--trusted-root", "root.json"}
	if keyless {
		who = []string{"--certificate-identity", m.who, "--certificate-oidc-issuer", issuer, "--insecure-ignore-sct"}
	}
	ref := m.ref(repo, d)
	// verify-attestation of 2.6.5 takes a trusted root for bundles only.
	if keyless && (bundle || c.program == "cosign3") {
		who = append(who, "--trusted-root", "sigstore.json")
	}
	if err := m.run(c.program, append(append([]string{"verify"}, who...), ref)...); err != nil {
		return err
	}
	return m.run(c.program, append(append([]string{"verify-attestation", "--type", "spdxjson"}, who...), ref)...)
}

// Everybody verifies what everybody signs and attests, in both layouts, by key
// and by identity, and nobody what another key or identity has signed.
func TestPeersMatrix(t *testing.T) {
	m := newMatrix(t)
	cosigns := append([]cosignPeer{{"cosign " + cosignVersion[1:], m.program, nil, "--new-bundle-format=%v"}}, morePeers()...)
	signers := map[string]func(keyless, bundle bool) signed{"kiln": kilnSigns}
	verifiers := map[string]verifies{"kiln": kilnVerifies}
	order := []string{"kiln"}
	for _, c := range cosigns {
		signers[c.name], verifiers[c.name] = c.signs, c.verifies
		order = append(order, c.name)
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "signed by\tlayout\twith\t%s\n", strings.Join(order, "\t"))
	n := 0
	for _, signer := range order {
		for _, bundle := range []bool{false, true} {
			for _, keyless := range []bool{false, true} {
				n++
				repo := fmt.Sprintf("acme/shop%d", n)
				layout, with := map[bool]string{false: "tag", true: "bundle"}[bundle], map[bool]string{false: "key", true: "identity"}[keyless]
				img := m.push(repo)
				if err := signers[signer](keyless, bundle)(m, repo, img); err != nil {
					t.Errorf("%s signs (%s, %s): %v", signer, layout, with, err)
					continue
				}
				fmt.Fprintf(w, "%s\t%s\t%s", signer, layout, with)
				for _, verifier := range order {
					answer := "yes"
					if err := verifiers[verifier](m, keyless, bundle, repo, img.Digest); err != nil {
						answer = "NO"
						t.Errorf("%s verifies what %s signed (%s, %s): %v", verifier, signer, layout, with, err)
					}
					fmt.Fprintf(w, "\t%s", answer)
				}
				fmt.Fprintln(w)
				m.refuses(signer, bundle, repo, img.Digest)
				if signer == "kiln" {
					for _, c := range cosigns {
						if err := c.verifies(m.stranger(), keyless, bundle, repo, img.Digest); err == nil {
							t.Errorf("%s verifies for a stranger what kiln signed (%s, %s)", c.name, layout, with)
						}
					}
				}
			}
		}
	}
	_ = w.Flush()
	t.Logf("\n%s", table.String())
}

// stranger is the matrix where others than those who signed are trusted.
func (m *matrix) stranger() *matrix {
	other := *m
	other.pub, other.who = "other.pub", "else@acme.example.com"
	return &other
}

// refuses checks whom kiln does not believe: strangers, evidence of another
// image, and, unless asked to, cosign's bundles, which name no image.
func (m *matrix) refuses(signer string, bundle bool, repo string, d digest.Digest) {
	m.t.Helper()
	ctx := context.Background()
	strangers, err := NewVerifierFor(VerifierConfig{TrustedRoot: m.root, Nameless: true, Principals: []Principal{
		{Key: m.read("other.pub")}, {Identity: &Identity{Issuer: issuer, Subject: "else@acme.example.com"}},
	}})
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := strangers.VerifyImage(ctx, m.ev, repo, d); !errors.Is(err, ErrInvalid) {
		m.t.Errorf("a stranger's signature by %s: %v", signer, err)
	}
	if _, err := strangers.Attestations(ctx, m.ev, repo, d, SPDXPredicate); !errors.Is(err, ErrInvalid) {
		m.t.Errorf("a stranger's attestation by %s: %v", signer, err)
	}
	strict := *m.by
	strict.nameless = false
	_, err = strict.VerifyImage(ctx, m.ev, repo, d)
	if nameless := bundle && signer != "kiln"; nameless != errors.Is(err, ErrInvalid) || !nameless && err != nil {
		m.t.Errorf("%s, bundle %v, where every signature must name the image: %v", signer, bundle, err)
	}
}
