package posture

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// Bounds of a refresh of many devices: how many may be asked at once, how many of them share a
// unit of work, and how many are woken in a second, for all answer soon after.
const (
	MostRefreshed = 10_000
	refreshBatch  = 50
	wokenInSecond = 50
)

// RefreshMany asks many devices everything that they are not being asked already, and returns
// how many were asked anything; words say in the audit log which devices were meant. They are
// woken one after another rather than together. Devices that are not enrolled, and those out
// of the scope of who asks, are left out. What was asked before an error stays asked.
func (r *Reader) RefreshMany(ctx context.Context, ids []ward.DeviceID, words []string) (asked int, err error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	switch {
	case len(ids) == 0:
		return 0, ward.Errorf(ward.Invalid, "No device is meant: choose some, or another filter.")
	case len(ids) > MostRefreshed:
		return 0, ward.Errorf(ward.Invalid, "%d devices are meant, and %d can be asked at once: narrow the filter.", len(ids), MostRefreshed)
	}
	detail := map[string]string{"devices": strconv.Itoa(len(ids)), "which": strings.Join(words, "; ")}
	if err := r.Audit.Record(ctx, "devices.refreshed", "", detail); err != nil {
		return 0, fmt.Errorf("refresh devices: %w", err)
	}
	start := r.Now()
	for batch := range slices.Chunk(ids, refreshBatch) {
		n := 0
		err := r.Store.Do(ctx, func(ctx context.Context) error {
			n = 0
			for _, id := range batch {
				wake := start.Add(time.Duration(asked+n) * time.Second / wokenInSecond)
				ok, err := r.refreshOne(ctx, id, wake)
				if err != nil {
					return fmt.Errorf("refresh device %s: %w", id, err)
				}
				if ok {
					n++
				}
			}
			return nil
		})
		if err != nil {
			return asked, err
		}
		asked += n
	}
	return asked, nil
}

// refreshOne asks one of many devices, which is woken at a time, and reports whether there was
// anything to ask.
func (r *Reader) refreshOne(ctx context.Context, id ward.DeviceID, wake time.Time) (bool, error) {
	d, err := r.device(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	e, err := r.Store.Current(ctx, id)
	if ward.KindOf(err) == ward.NotFound || err == nil && e.State != ward.EnrolmentActive {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	n, err := r.ask(ctx, d, e, r.Wake != nil)
	if err != nil || n == 0 || r.Wake == nil {
		return n > 0, err
	}
	return true, r.Wake(ctx, e.ID, wake)
}
