package fleet_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestAdmitAttested: what hardware has proven counts before what a device says.
func TestAdmitAttested(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for i, tc := range []struct {
			name     string
			inv      fleet.Invitation // what the invitation asks for
			ar       fleet.Arrival
			why      string // of the refusal, "" for none
			impostor bool
		}{
			{"who it says it is", fleet.Invitation{Platform: ward.IOS, Attested: true}, attested("U", "S", "U", "S"), "", false},
			{"another serial number", fleet.Invitation{Platform: ward.IOS}, attested("U", "S", "U", "T"), "has proven the serial number T, and says that it has S", true},
			{"no serial number", fleet.Invitation{Platform: ward.IOS}, attested("U", "", "U", "T"), "has proven the serial number T", true},
			{"another UDID", fleet.Invitation{Platform: ward.IOS}, attested("U", "S", "V", "S"), "has proven the UDID V, and says that it has U", true},
			{"a phone that says it is a Mac", fleet.Invitation{Platform: ward.IOS}, mac(attested("U", "S", "V", "S")), "has proven the UDID V", true},
			{"a Mac, whose attestation has its provisioning UDID", fleet.Invitation{Platform: ward.MacOS, Attested: true}, mac(attested("U", "S", "V", "S")), "", false},
			{"a Mac with another serial number", fleet.Invitation{Platform: ward.MacOS}, mac(attested("U", "S", "V", "T")), "has proven the serial number T", true},
			{"nothing proven, where it has to be", fleet.Invitation{Platform: ward.IOS, Attested: true}, arrival("U", "S", "h"), "proves that its key can't leave it", false},
			{"nothing proven, where it need not", fleet.Invitation{Platform: ward.IOS}, arrival("U", "S", "h"), "", false},
			{"the invited serial number", fleet.Invitation{Platform: ward.IOS, Serial: "S"}, arrival("U", "S", "h"), "", false},
			{"another than the invited", fleet.Invitation{Platform: ward.IOS, Serial: "T"}, arrival("U", "S", "h"), "for the device with the serial number T", false},
			{"another than the invited, proven", fleet.Invitation{Platform: ward.IOS, Serial: "T"}, attested("U", "S", "U", "S"), "for the device with the serial number T", false},
			{"none, where one was invited", fleet.Invitation{Platform: ward.IOS, Serial: "T"}, arrival("U", "", "h"), "for the device with the serial number T", false},
		} {
			f, id := newFixture(t, db), fmt.Sprintf("-%d", i)
			f.invite(t, id, "", ward.Corporate)
			tc.inv.ID, tc.inv.Device, tc.inv.Rights = id, ward.DeviceID("dev-"+id), ward.RightsAll
			f.inv[id].Invitation = tc.inv
			ar := tc.ar
			ar.Channel, ar.Hash = own(ar.Channel, id), own("h", id)
			ar.Serial, ar.Attested.UDID, ar.Attested.Serial = own(ar.Serial, id), own(ar.Attested.UDID, id), own(ar.Attested.Serial, id)
			f.inv[id].Serial = own(tc.inv.Serial, id)
			epochs, devices := f.count(t)
			_, err := f.arrive(t, ar, id)
			if tc.why == "" {
				if err != nil {
					t.Errorf("%s: %v, want it admitted", tc.name, err)
				}
				continue
			}
			if why := strings.ReplaceAll(err.Error(), id, ""); ward.KindOf(err) != ward.Forbidden || !strings.Contains(why, tc.why) || errors.Is(err, fleet.ErrImpostor) != tc.impostor {
				t.Errorf("%s: %v, want forbidden: %s", tc.name, err, tc.why)
			}
			if e, d := f.count(t); e != epochs || d != devices {
				t.Errorf("%s was refused and changed %d enrolments to %d, %d devices to %d", tc.name, epochs, e, devices, d)
			}
		}
	})
}

// own makes a name that no other story has.
func own(name, id string) string {
	if name == "" {
		return ""
	}
	return name + id
}

// attested is the arrival of a phone that says udid and serial, and has proven the others.
func attested(udid, serial, provenUDID, provenSerial string) fleet.Arrival {
	ar := arrival(udid, serial, "h")
	ar.Attested = fleet.Attested{Serial: provenSerial, UDID: provenUDID}
	return ar
}

func mac(ar fleet.Arrival) fleet.Arrival {
	ar.Platform, ar.Model = ward.MacOS, "Mac15,12"
	return ar
}

// TestAgainAttested: an identity that is in use proves its serial number each time.
func TestAgainAttested(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	inv := f.invite(t, "a", "", ward.Corporate)
	ar := attested("U", "S", "U", "S")
	f.admitted(t, ar, inv)
	if ad := f.admitted(t, ar, inv); !ad.Again {
		t.Errorf("admission = %+v, want the same device again", ad)
	}
	ar.Serial = "T"
	if _, err := f.arrive(t, ar, inv); !errors.Is(err, fleet.ErrImpostor) {
		t.Errorf("another serial number under the same identity: %v, want %v", err, fleet.ErrImpostor)
	}
}

// TestMergeKeepsAllOfTheInvitation: a device that comes back is what the new invitation
// says, also its site and role.
func TestMergeKeepsAllOfTheInvitation(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	first := f.admitted(t, arrival("U", "S", "h1"), f.invite(t, "a", "", ward.Corporate))
	f.end(t, "U")
	inv := f.invite(t, "b", "", ward.Corporate)
	p, err := f.Store.Device(t.Context(), "dev-b")
	if err != nil {
		t.Fatal(err)
	}
	p.Site, p.Role = "North", "nurse"
	if err := f.Store.UpdateDevice(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if ad := f.admitted(t, arrival("U", "S", "h2"), inv); ad.Device != first.Device {
		t.Fatalf("it came back as %s, want %s", ad.Device, first.Device)
	}
	d, err := f.Store.Device(t.Context(), first.Device)
	if err != nil || d.Site != "North" || d.Role != "nurse" || d.Owner != "Owner b" {
		t.Errorf("device = %+v, %v; want what the invitation says", d, err)
	}
}
