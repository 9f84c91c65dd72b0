package lost_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// raw keeps an answer to every command but those that were sealed.
type raw struct{}

func (raw) Raw(_ context.Context, uuid string, _ ward.EnrolmentID) ([]byte, error) {
	return []byte("answer to " + uuid), nil
}

func TestFile(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		w.Answers = raw{}
		w.facts.known = good()
		e := w.add(ward.Device{
			ID: "d1", Serial: "C02", Name: "Ward 7 phone", Platform: ward.IOS, Model: "iPhone15,4", Ownership: ward.Corporate, State: ward.Managed, Created: start,
			Owner: "Nia Nurse", Email: "nia@hospital.example", Site: "St Mary", Group: "Ward 7",
		})
		w.supervise(e, ward.Supervised)
		cs, err := w.Report(w.as("ada"), lost.Report{Devices: []ward.DeviceID{"d1"}, Identified: "by voice", LastSeenWhere: "bus 36", Footnote: "Ward 7"})
		if err != nil {
			t.Fatal(err)
		}
		c := cs[0]
		w.accept(e)
		if _, err := w.LocateNow(w.as("ada"), c.ID, "to send a porter"); err != nil {
			t.Fatal(err)
		}
		w.accept(e)
		if err := w.SetLocation(t.Context(), c.ID, lost.Location{Lat: 53.801, Lon: -1.55, At: start}); err != nil {
			t.Fatal(err)
		}
		w.decide(c)
		d, err := db.Fleet().Device(t.Context(), "d1")
		if err != nil {
			t.Fatal(err)
		}
		d.Owner, d.Name = "Ola", "Spare phone"
		if err := db.Fleet().UpdateDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}

		f, err := w.File(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		told, err := json.Marshal(f.Case)
		if got := string(told); err != nil || strings.Contains(got, `"message"`) || strings.Contains(got, `"phone"`) || !strings.Contains(got, `"footnote":"Ward 7"`) {
			t.Errorf("of the words of the report the file tells %s, %v; want its footnote alone", got, err)
		}
		wantDevice := lost.FileDevice{
			ID: "d1", Serial: "C02", Name: "Ward 7 phone", Platform: ward.IOS, Model: "iPhone15,4", Ownership: ward.Corporate, State: ward.Managed,
			Owner: "Nia Nurse", Email: "nia@hospital.example", Site: "St Mary", Group: "Ward 7", Supervised: ward.Supervised, LastSeen: f.Device.LastSeen, AsOf: start,
		}
		if diff := cmp.Diff(wantDevice, f.Device); diff != "" {
			t.Errorf("the device as it was, mismatch (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(lost.FileReporter{Person: "ada", Name: "Name of ada", Identified: "by voice"}, f.Reporter); diff != "" {
			t.Errorf("reporter mismatch (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff([]string{"5e11a1"}, f.Certificates); diff != "" {
			t.Errorf("certificates mismatch (-want +got)\n%s", diff)
		}
		if len(f.Commands) != 2 || len(f.Locations) != 2 || len(f.Decisions) != 1 || f.Assessment.Level == "" || !f.Case.Deadline.Equal(start.Add(72*time.Hour)) {
			t.Fatalf("the file is %+v", f)
		}
		lock, where := f.Commands[0], f.Commands[1]
		if lock.State != command.Accepted || string(lock.Answer) != "answer to "+lock.UUID || lock.QueuedAfter == nil || lock.DeliveredAfter == nil || lock.AcceptedAfter == nil ||
			*lock.QueuedAfter > *lock.AcceptedAfter || !strings.HasPrefix(lock.Words, "Lost mode on: accepted by the device at ") {
			t.Errorf("lost mode: %+v", lock)
		}
		if where.RequestType != "DeviceLocation" || where.Answer != nil || where.AnswerWithheld == "" {
			t.Errorf("the location's answer is in the file: %+v", where)
		}
		text, err := json.Marshal(f)
		if err != nil || strings.Contains(string(text), "53.801") || strings.Contains(string(text), "Ola") {
			t.Errorf("the file as JSON, %v: %s", err, text)
		}
	})
}

// TestFileOfLittle: the file of a case about which little is known has lists, not nulls.
func TestFileOfLittle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	if err := w.db.Fleet().InsertDevice(t.Context(), ward.Device{ID: "d1", Platform: ward.Android, Ownership: ward.Corporate, State: ward.Unenrolled}); err != nil {
		t.Fatal(err)
	}
	f, err := w.File(t.Context(), w.drill("d1", lost.Dry).ID)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(f)
	if err != nil || strings.Contains(string(text), "null") {
		t.Errorf("the file as JSON, %v: %s", err, text)
	}
	_, err = w.File(t.Context(), "none")
	wantKind(t, "no case", err, ward.NotFound)
}
