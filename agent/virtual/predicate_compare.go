package virtual

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// compare applies an operator of a predicate. Strings compare character by character and
// with regard to case, as NSString does: "9.0" is greater than "16.0". An order between
// values of different types cannot be evaluated.
func compare(op string, x, y any) (bool, error) {
	x, y = plain(x), plain(y)
	switch op {
	case "==", "=":
		return reflect.DeepEqual(x, y), nil
	case "!=", "<>":
		return !reflect.DeepEqual(x, y), nil
	case "IN":
		return within(x, y)
	case "CONTAINS":
		return within(y, x)
	case "BEGINSWITH", "ENDSWITH":
		s, ok1 := x.(string)
		part, ok2 := y.(string)
		if x == nil {
			return false, nil
		}
		if !ok1 || !ok2 {
			return false, fmt.Errorf("%s needs strings", op)
		}
		return op == "BEGINSWITH" && strings.HasPrefix(s, part) || op == "ENDSWITH" && strings.HasSuffix(s, part), nil
	}
	if x == nil || y == nil {
		return false, nil
	}
	n, err := order(x, y)
	if err != nil {
		return false, err
	}
	switch op {
	case "<":
		return n < 0, nil
	case "<=", "=<":
		return n <= 0, nil
	case ">":
		return n > 0, nil
	}
	return n >= 0, nil
}

// plain makes a boolean the number that it is for a predicate.
func plain(v any) any {
	switch b := v.(type) {
	case bool:
		if b {
			return 1.0
		}
		return 0.0
	case int64:
		return float64(b)
	}
	return v
}

func order(x, y any) (int, error) {
	switch a := x.(type) {
	case float64:
		if b, ok := y.(float64); ok {
			return cmp.Compare(a, b), nil
		}
	case string:
		if b, ok := y.(string); ok {
			return cmp.Compare(a, b), nil
		}
	}
	return 0, fmt.Errorf("there is no order between %v and %v", x, y)
}

// within reports whether x is an element of the list, or a part of the string, y.
func within(x, y any) (bool, error) {
	switch in := y.(type) {
	case nil:
		return false, nil
	case []any:
		return slices.ContainsFunc(in, func(v any) bool { return reflect.DeepEqual(plain(v), x) }), nil
	case string:
		if s, ok := x.(string); ok {
			return strings.Contains(in, s), nil
		}
	}
	return false, fmt.Errorf("%v is neither a list nor a string", y)
}
