//go:build unix

package estate_test

import (
	"context"
	"fmt"
	"net/url"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// large is the size that the figures in the documentation are of.
const large = 100_000

// manyDevices writes devices with their postures into a record.
func manyDevices(b *testing.B, db *store.DB, n int) *estate.Service {
	b.Helper()
	states := []compliance.State{compliance.Compliant, compliance.Compliant, compliance.Compliant, compliance.Compliant, compliance.NonCompliant, compliance.Unknown, compliance.InGrace}
	s, err := estate.New(estate.Options{
		Store: db.Estate(), Overlap: db.PostureOverlap(), Now: func() time.Time { return time.Now().UTC() },
		Assess: func(ctx context.Context, id ward.DeviceID) (v reconcile.View, a compliance.Assessment, err error) {
			if v.Device, err = db.Fleet().Device(ctx, id); err != nil {
				return v, a, err
			}
			var i int
			_, err = fmt.Sscanf(string(id), "dev_%d", &i)
			a.State = states[i%len(states)]
			v.Enrolment = ward.Enrolment{ID: ward.EnrolmentID(fmt.Sprintf("enr_%020d", i)), State: ward.EnrolmentActive, Enrolled: start, LastSeen: start}
			switch a.State {
			case compliance.NonCompliant:
				a.Findings = []compliance.Finding{{State: a.State, Code: "blocked-app-present", Subject: "whatsapp", Text: "Has WhatsApp, which the policy blocks.", Since: start}}
			case compliance.Unknown:
				a.Findings = []compliance.Finding{{State: a.State, Code: "not-seen", Text: "Not seen since " + compliance.Stamp(start.Add(time.Duration(i)*time.Second)) + ".", Cure: "Ask its owner to connect it to a network.", Since: start}}
			case compliance.InGrace:
				a.Findings = []compliance.Finding{{State: a.State, Code: "no-passcode", Text: "It has no passcode, so its storage is not protected.", Until: start.AddDate(1, 0, 0)}}
			}
			return v, a, err
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < n; i += 5000 {
		err := db.Do(b.Context(), func(ctx context.Context) error {
			for j := i; j < min(i+5000, n); j++ {
				d := ward.Device{
					ID: ward.DeviceID(fmt.Sprintf("dev_%020d", j)), Serial: fmt.Sprintf("C39%08d", j), Name: fmt.Sprintf("Ward %d phone %d", j%200, j), Owner: fmt.Sprintf("Member of staff %d", j),
					Email: fmt.Sprintf("staff.%d@hospital.example", j), Model: "iPhone15,4", Role: "nurse", Platform: ward.IOS, OSVersion: fmt.Sprintf("26.%d", j%4), Ownership: ward.Corporate,
					Group: fmt.Sprintf("Ward %d", j%200), Site: fmt.Sprintf("Site %d", j%6), State: ward.Managed, Created: start,
				}
				if err := db.Fleet().InsertDevice(ctx, d); err != nil {
					return err
				}
			}
			_, err := s.CatchUp(ctx, 5000)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func current(b *testing.B, s *estate.Service) *estate.Snapshot {
	b.Helper()
	snap, err := s.Current(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return snap
}

// BenchmarkEstate measures the present of a large fleet: how long it takes to load and how
// much memory it keeps, and what it costs when nothing and when 100 devices changed.
func BenchmarkEstate(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db := open(b)
			s := manyDevices(b, db, large)
			b.Run("load", func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					fresh, err := estate.New(s.Options)
					if err != nil {
						b.Fatal(err)
					}
					before := heap()
					b.StartTimer()
					done := spent(b)
					n := len(current(b, fresh).Devices)
					done()
					b.StopTimer()
					b.ReportMetric(float64(heap()-before)/1e6, "MB")
					if n != large {
						b.Fatalf("%d devices, want %d", n, large)
					}
					runtime.KeepAlive(fresh)
					b.StartTimer()
				}
			})
			current(b, s)
			b.Run("unchanged", func(b *testing.B) {
				defer spent(b)()
				for b.Loop() {
					current(b, s)
				}
			})
			b.Run("changed100", func(b *testing.B) {
				for n := 0; b.Loop(); n++ {
					b.StopTimer()
					err := db.Do(b.Context(), func(ctx context.Context) error {
						for i := range 100 {
							id := ward.DeviceID(fmt.Sprintf("dev_%020d", i*997))
							d, err := db.Fleet().Device(ctx, id)
							if err != nil {
								return err
							}
							d.Name = fmt.Sprintf("Anew %d %d", n, i)
							if err := db.Fleet().UpdateDevice(ctx, d); err != nil {
								return err
							}
						}
						_, err := s.CatchUp(ctx, 100)
						return err
					})
					if err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					current(b, s)
				}
			})
			if name == "sqlite" {
				benchmarkFilters(b, current(b, s))
			}
		})
	}
}

// spent reports the time that processors spent on an operation, which other programs on the
// machine do not lengthen as they do the time that passes.
func spent(b *testing.B) func() {
	b.Helper()
	used := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Microseconds())/1000/float64(max(b.N, 1)), "cpu-ms/op") }
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func benchmarkFilters(b *testing.B, s *estate.Snapshot) {
	for _, q := range []string{"", "q=staff+77+ward", "q=no+such+words", "state=unknown&site=Site+3", "finding=no-passcode&os=26.1", "app=whatsapp&blocked=yes", "not_seen=30&enrolled=yes&approved=not-ready", "group=Ward+7&group=Ward+8"} {
		v, err := url.ParseQuery(q)
		if err != nil {
			b.Fatal(err)
		}
		f, err := estate.ParseFilter(v)
		if err != nil {
			b.Fatal(err)
		}
		f.Scope = ward.Scope{Sites: []string{"Site 0", "Site 1", "Site 2", "Site 3"}}
		b.Run("filter/"+q, func(b *testing.B) {
			defer spent(b)()
			for b.Loop() {
				s.Match(f)
			}
		})
		b.Run("page/"+q, func(b *testing.B) {
			defer spent(b)()
			for b.Loop() {
				s.Page(f, s.Devices[len(s.Devices)/2].ID, 50)
			}
		})
	}
	b.Run("choices", func(b *testing.B) {
		for b.Loop() {
			s.Choices(ward.Scope{})
		}
	})
}
