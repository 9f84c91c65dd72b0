package ca_test

import (
	"fmt"
	"testing"

	"github.com/smallstep/scep"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
)

// BenchmarkCheck is what every request with a client certificate pays.
func BenchmarkCheck(b *testing.B) {
	f := newFixture(b, storetest.SQLite(b))
	cert := issueApp(b, f, appGrant)
	for b.Loop() {
		if _, err := f.Check(b.Context(), cert); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSCEP is one enrolment, the client's work not counted.
func BenchmarkSCEP(b *testing.B) {
	f := newFixture(b, storetest.SQLite(b))
	grants := f.o.Challenges.(gate).grants
	h := f.SCEP()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		challenge := fmt.Sprint(n)
		grants[challenge] = ca.Grant{Invitation: challenge, CommonName: "phone"}
		d := newDevice(b, rsaKey(), challenge)
		message := d.message(b, scep.PKCSReq, f.Issuer())
		b.StartTimer()
		if m := d.read(b, content(b, post(b, h, message)), f.Issuer()); m.PKIStatus != scep.SUCCESS {
			b.Fatal(m.PKIStatus)
		}
	}
}
