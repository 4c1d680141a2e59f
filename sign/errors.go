package sign

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Callers tell failures apart by these; everything else is an error of the
// place where evidence is stored, and means that nothing is known.
var (
	// ErrUnsigned: there is no signature, or no attestation of the wanted
	// type, by anyone.
	ErrUnsigned = errors.New("unsigned")
	// ErrInvalid: there is something, and none of it verifies.
	ErrInvalid = errors.New("verification failed")
	// ErrDates: an ErrInvalid, where one who is known signed outside the dates
	// within which that counts.
	ErrDates = errors.New("outside its dates")
	// ErrKey: a key file is unreadable, of an unknown kind or too weak.
	ErrKey = errors.New("unusable key")
	// ErrKeyPassword: the password does not open the private key.
	ErrKeyPassword = errors.New("wrong password")
	// ErrKeyService: who holds a key (Vault, a plugin) cannot be asked, has no
	// such key, or does not let it be used.
	ErrKeyService = errors.New("key service")
)

// invalid makes an error that matches ErrInvalid.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// rejections collects why candidates did not count.
type rejections struct {
	errs []error
}

// add takes an error that speaks of one candidate only and says whether it
// was one; any other error must end the verification.
func (r *rejections) add(err error) bool {
	if !errors.Is(err, ErrInvalid) && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	r.errs = append(r.errs, err)
	return true
}

// maxReasons bounds how many rejections an error text names.
const maxReasons = 3

// verdict is the error for an image where nothing counted.
func (r *rejections) verdict(what string) error {
	if len(r.errs) == 0 {
		return fmt.Errorf("%w: no %s", ErrUnsigned, what)
	}
	shown := r.errs[:min(len(r.errs), maxReasons)]
	return fmt.Errorf("%w: none of %s is %s by a known key: %w",
		ErrInvalid, tally(len(r.errs)), article(what), errors.Join(shown...))
}

func tally(n int) string {
	if n == 1 {
		return "1 candidate"
	}
	return fmt.Sprintf("%d candidates", n)
}

func article(what string) string {
	if strings.ContainsRune("aeiou", rune(what[0])) {
		return "an " + what
	}
	return "a " + what
}
