package fleet

import (
	"time"

	"github.com/wardmdm/ward"
)

// Succession is how a certificate that was issued to follow the identity of an enrolment
// took its place.
type Succession struct {
	Enrolment ward.Enrolment
	Serial    string // of the certificate
	// Former are the serial numbers of the certificates that it makes worthless: the
	// identity until then, and those issued to follow it that were never used.
	Former []string
	// Since is when the certificate first proved the enrolment.
	Since time.Time
}
