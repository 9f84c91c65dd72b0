package store

import (
	"context"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
)

// What a person may see is bounded here, where every part reads it: a row about a device
// outside the scope of who acts is not there. Ward itself, devices, the console and people
// without bounds have the queries as they stand.

// scoped returns the condition, beginning with AND, under which a device lies in the scope of
// who acts in ctx, and args with its values. device names the column of its id, or the alias
// of the device's own row, which ends with a point. Where nothing is bounded it is empty.
func scoped(ctx context.Context, device string, args []any) (string, []any) {
	cond, args := within(ward.ActorFrom(ctx).Scope, device, args)
	if cond == "" {
		return "", args
	}
	return " AND " + cond, args
}

func within(s ward.Scope, device string, args []any) (string, []any) {
	if s.All() {
		return "", args
	}
	alias, own := strings.CutSuffix(device, ".")
	if !own {
		alias = "scope_device"
	}
	var parts []string
	for _, bound := range []struct {
		column string
		values []string
	}{{"site", s.Sites}, {"grp", s.Groups}} {
		if len(bound.values) == 0 {
			continue
		}
		marks := make([]string, len(bound.values))
		for i, v := range bound.values {
			args = append(args, v)
			marks[i] = "$" + strconv.Itoa(len(args))
		}
		parts = append(parts, alias+"."+bound.column+" IN ("+strings.Join(marks, ", ")+")")
	}
	cond := strings.Join(parts, " AND ")
	if own {
		return cond, args
	}
	return "EXISTS (SELECT 1 FROM device scope_device WHERE scope_device.id = " + device + " AND " + cond + ")", args
}

// scopedOrder is scoped for an order: it is about devices, and every one of them lies within.
// What concerns the whole organisation, such as the brake, is for those who see all of it.
func scopedOrder(ctx context.Context, args []any) (string, []any) {
	cond, args := within(ward.ActorFrom(ctx).Scope, "scope_target.device_id", args)
	if cond == "" {
		return "", args
	}
	return " AND EXISTS (SELECT 1 FROM order_target scope_any WHERE scope_any.order_id = o.id)" +
		" AND NOT EXISTS (SELECT 1 FROM order_target scope_target WHERE scope_target.order_id = o.id AND NOT " + cond + ")", args
}
