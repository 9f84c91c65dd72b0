package estate

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
)

// frame is the posture of every device at a midnight, in columns: values of one kind stand
// together, so that they compress well and are read fast. It holds no name of a person.
// Times are of whole minutes, but for the end of a grace.
type frame struct {
	Version int
	IDs     names

	Site, Group, Platform, OS, Ownership, Supervised, State column
	Managed                                                 []byte // a bit for each

	Since, Told, LastSeen, Enrolled moments

	Apps, Approved column // whole lists, as few kinds of them exist

	// The findings of all devices, one after the other; Found says how many each has.
	Found                column
	Severity, Code, Subj column
	FoundSince, Until    moments // FoundSince is relative to the device's own Since
}

// frameVersion is of the present shape; another one can't be read.
const frameVersion = 1

// maxFrame bounds what a frame may unpack to.
const maxFrame = 1 << 30

// newFrame makes a frame of devices in the order of their ids.
func newFrame(ds []*Device) (*frame, error) {
	f := &frame{Version: frameVersion, Managed: make([]byte, (len(ds)+7)/8)}
	var w struct {
		ids, site, group, platform, os, ownership, supervised, state, apps, approved, found, severity, code, subject columnMaker
	}
	var since, told, seen, enrolled, foundSince, until []uint32
	approved := approvedText{}
	for i, d := range ds {
		w.site.add(d.Site)
		w.group.add(d.Group)
		w.platform.add(string(d.Platform))
		w.os.add(d.OSVersion)
		w.ownership.add(string(d.Ownership))
		w.supervised.add(string(d.Supervised))
		w.state.add(string(d.State))
		w.apps.add(strings.Join(d.Apps, " "))
		text, err := approved.of(d.Approved)
		if err != nil {
			return nil, err
		}
		w.approved.add(text)
		if d.Managed {
			f.Managed[i/8] |= 1 << (i % 8)
		}
		since, told = append(since, minutes(d.Since)), append(told, minutes(d.Told))
		seen, enrolled = append(seen, minutes(d.LastSeen)), append(enrolled, minutes(d.Enrolled))
		w.found.add(string(rune(len(d.Findings)))) //nolint:gosec // a handful
		for _, x := range d.Findings {
			w.severity.add(string(x.State))
			w.code.add(x.Code)
			w.subject.add(x.Subject)
			foundSince, until = append(foundSince, minutes(x.Since)-minutes(d.Since)), append(until, seconds(x.Until))
		}
	}
	f.IDs = newNames(ds)
	f.Site, f.Group, f.Platform, f.OS, f.Ownership, f.Supervised, f.State = w.site.done(), w.group.done(), w.platform.done(), w.os.done(), w.ownership.done(), w.supervised.done(), w.state.done()
	f.Apps, f.Approved, f.Found, f.Severity, f.Code, f.Subj = w.apps.done(), w.approved.done(), w.found.done(), w.severity.done(), w.code.done(), w.subject.done()
	f.Since, f.Told, f.LastSeen, f.Enrolled, f.FoundSince, f.Until = newMoments(since), newMoments(told), newMoments(seen), newMoments(enrolled), newMoments(foundSince), newMoments(until)
	return f, nil
}

// devices returns the devices of the frame, in the order of their ids. Their lists are
// shared and must not be changed.
func (f *frame) devices() ([]entry, error) {
	ids := f.IDs.all()
	out := make([]entry, len(ids))
	apps := make([][]string, len(f.Apps.All))
	for i, text := range f.Apps.All {
		if text != "" {
			apps[i] = strings.Fields(text)
		}
	}
	approved := make([][]AppStanding, len(f.Approved.All))
	for i, text := range f.Approved.All {
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), &approved[i]); err != nil {
			return nil, fmt.Errorf("frame: %w", err)
		}
	}
	since, told, seen, enrolled := f.Since.all(), f.Told.all(), f.LastSeen.all(), f.Enrolled.all()
	foundSince, until := f.FoundSince.all(), f.Until.all()
	findings := make([]Finding, len(until))
	n := len(out)
	if len(since) != n || len(told) != n || len(seen) != n || len(enrolled) != n || len(f.State.Index) != n || len(f.Managed) < (n+7)/8 || len(foundSince) != len(findings) || len(f.Code.Index) != len(findings) {
		return nil, fmt.Errorf("frame: its columns are of different lengths")
	}
	next := 0
	for i := range out {
		d := &out[i].Device
		*d = Device{
			ID: ids[i], Site: f.Site.at(i), Group: f.Group.at(i), Platform: ward.Platform(f.Platform.at(i)), OSVersion: f.OS.at(i),
			Ownership: ward.Ownership(f.Ownership.at(i)), Supervised: ward.Supervision(f.Supervised.at(i)), Managed: f.Managed[i/8]&(1<<(i%8)) != 0,
			State: compliance.State(f.State.at(i)), Since: fromMinutes(since[i]), Told: fromMinutes(told[i]), LastSeen: fromMinutes(seen[i]), Enrolled: fromMinutes(enrolled[i]),
			Apps: apps[f.Apps.Index[i]], Approved: approved[f.Approved.Index[i]],
		}
		count := int([]rune(f.Found.at(i))[0])
		if count == 0 {
			continue
		}
		if next+count > len(findings) {
			return nil, fmt.Errorf("frame: it lacks findings")
		}
		for k := next; k < next+count; k++ {
			findings[k] = Finding{
				State: compliance.State(f.Severity.at(k)), Code: f.Code.at(k), Subject: f.Subj.at(k), Since: fromMinutes(foundSince[k] + since[i]), Until: fromSeconds(until[k]),
			}
		}
		d.Findings = findings[next : next+count : next+count]
		next += count
	}
	return out, nil
}

// size is about how many bytes the frame takes in memory.
func (f *frame) size() int {
	n := len(f.IDs.Time) + len(f.IDs.Count)
	for _, w := range []column{f.IDs.Origin, f.Site, f.Group, f.Platform, f.OS, f.Ownership, f.Supervised, f.State, f.Apps, f.Approved, f.Found, f.Severity, f.Code, f.Subj} {
		n += 4 * len(w.Index)
	}
	for _, m := range []moments{f.Since, f.Told, f.LastSeen, f.Enrolled, f.FoundSince, f.Until} {
		n += len(m)
	}
	return n
}

// pack writes a frame as it is kept.
func (f *frame) pack() ([]byte, error) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	if err := gob.NewEncoder(z).Encode(f); err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	return b.Bytes(), nil
}

// unpack reads what pack wrote.
func unpack(body []byte) (*frame, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame))
	if err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	defer z.Close()
	raw, err := z.DecodeAll(body, nil)
	if err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	f := new(frame)
	if err := gob.NewDecoder(bytes.NewReader(raw)).Decode(f); err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	if f.Version != frameVersion {
		return nil, fmt.Errorf("frame: it is of version %d, and this program reads %d", f.Version, frameVersion)
	}
	return f, nil
}

// approvedText writes lists of approved apps; few kinds of them exist.
type approvedText map[string]string

func (t approvedText) of(a []AppStanding) (string, error) {
	if len(a) == 0 {
		return "", nil
	}
	key := make([]byte, 0, 64)
	for _, x := range a {
		key = append(key, x.Bundle...)
		key = append(key, ' ', mark01(x.Installed), mark01(x.Certificate))
	}
	if text, ok := t[string(key)]; ok {
		return text, nil
	}
	b, err := json.Marshal(a)
	t[string(key)] = string(b)
	return string(b), err
}

func mark01(b bool) byte {
	if b {
		return '1'
	}
	return '0'
}

// byID sorts devices by their ids.
func byID(ds []*Device) {
	slices.SortFunc(ds, func(a, b *Device) int { return strings.Compare(string(a.ID), string(b.ID)) })
}

// plain makes the times of a device as coarse as a frame keeps them, so that a past time
// reads the same whether a frame or a change tells of it.
func (d *Device) plain() {
	d.Since, d.Enrolled, d.Told, d.LastSeen = whole(d.Since), whole(d.Enrolled), whole(d.Told), whole(d.LastSeen)
	for i := range d.Findings {
		d.Findings[i].Since, d.Findings[i].Until = whole(d.Findings[i].Since), fromSeconds(seconds(d.Findings[i].Until))
	}
}

// seconds are since 1970, 0 for the zero time; good until the year 2106.
func seconds(t time.Time) uint32 {
	if t.IsZero() || t.Unix() < 0 {
		return 0
	}
	return uint32(t.Unix()) //nolint:gosec // above
}

func fromSeconds(n uint32) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}

func minutes(t time.Time) uint32 { return seconds(t) / 60 }

// whole is t at the beginning of its minute.
func whole(t time.Time) time.Time { return fromMinutes(minutes(t)) }

func fromMinutes(n uint32) time.Time { return fromSeconds(n * 60) }
