package demo

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"time"
)

// ShopName is what the sample shop is called.
const ShopName = "Harborline Coffee"

// Sizes of the sample shop.
const (
	shopCustomers = 2_400
	shopOrders    = 32_000
	shopDays      = 540 // that its orders go back
)

// shop is the content of the sample shop: the same for every run with the same end.
type shop struct {
	customers []customer
	products  []product
	orders    []order
	lines     []line
}

type customer struct {
	id                     int
	name, email, city, tel string
	since                  time.Time
}

type product struct {
	id                       int
	sku, name, category, tip string
	cents, stock             int
}

type order struct {
	id, customer, cents int
	number, status      string
	placed              time.Time
	paid                string // how; "" if it is not
}

type line struct{ order, position, product, quantity, cents int }

var (
	givenNames = strings.Fields("Ada Amara Anika Ben Carla Chidi Daria Elif Emil Farah Felix Goran Hana Ines Ivo Jana Jonas Kemal Lena Liam Mira Mateo Nadia Nils Olga Omar Petra Quinn Rosa Samir Sofia Tariq Uma Vera Wei Xenia Yara Zeno")
	surnames   = strings.Fields("Abbott Adeyemi Almeida Bauer Bergström Castro Demir Eriksen Fischer García Haddad Ivanova Jansen Kowalski Lindqvist Marlow Moreau Nakamura Novák Okafor Öztürk Patel Quist Rossi Sato Schmidt Silva Tanaka Ueda Varga Weber Yilmaz Zhang O'Brien")
	cities     = strings.Fields("Hamburg Rotterdam Antwerp Bergen Gdańsk Lisbon Porto Marseille Genoa Trieste Piraeus İzmir Valencia Cork Göteborg Tallinn")
	origins    = strings.Fields("Ethiopia Colombia Kenya Guatemala Sumatra Brazil Honduras Rwanda Peru Yemen")
	roasts     = strings.Fields("light medium dark espresso")
	gear       = []string{"Burr grinder", "Pour-over kettle", "Paper filters, 100", "French press", "Moka pot", "Kitchen scale", "Cup, stoneware", "Travel mug", "Tamper", "Milk jug"}
	payWays    = []string{"card", "card", "card", "paypal", "invoice", "bank transfer"}
)

// makeShop makes the shop with its last order placed shortly before end.
func makeShop(end time.Time) *shop {
	r := rand.New(rand.NewPCG(20261122, 7))
	s := &shop{}
	pick := func(words []string) string { return words[r.IntN(len(words))] }
	start := end.Add(-shopDays * 24 * time.Hour)

	for id := 1; id <= shopCustomers; id++ {
		given, family := pick(givenNames), pick(surnames)
		s.customers = append(s.customers, customer{
			id: id, name: given + " " + family, city: pick(cities),
			email: fmt.Sprintf("%s.%s%d@example.com", strings.ToLower(given), strings.ToLower(strings.ReplaceAll(family, "'", "")), id),
			tel:   fmt.Sprintf("+49 40 %07d", r.IntN(10_000_000)),
			since: start.Add(time.Duration(r.IntN(shopDays*24)) * time.Hour),
		})
	}
	for _, origin := range origins {
		for _, roast := range roasts {
			for _, grams := range []int{250, 1000} {
				id := len(s.products) + 1
				s.products = append(s.products, product{
					id: id, sku: fmt.Sprintf("HC-%03d", id), category: "coffee", stock: 40 + r.IntN(400),
					name: fmt.Sprintf("%s, %s roast, %d g", origin, roast, grams), cents: (690 + r.IntN(500)) * grams / 250 * 9 / 10,
					tip: "Keep it dry & cool; grind it just before brewing.\nBest within 6 weeks.",
				})
			}
		}
	}
	for _, name := range gear {
		id := len(s.products) + 1
		s.products = append(s.products, product{id: id, sku: fmt.Sprintf("HC-%03d", id), name: name, category: "gear", cents: 490 + r.IntN(9000), stock: 10 + r.IntN(90)})
	}

	at, step := start, end.Sub(start)/shopOrders
	for id := 1; id <= shopOrders; id++ {
		at = at.Add(time.Duration(float64(step) * (0.2 + 1.6*r.Float64())))
		if at.After(end) {
			at = end
		}
		o := order{id: id, customer: 1 + r.IntN(shopCustomers), number: fmt.Sprintf("HC-%06d", id), placed: at.Truncate(time.Second), status: "shipped", paid: pick(payWays)}
		switch n := r.IntN(100); {
		case n < 3:
			o.status, o.paid = "cancelled", ""
		case shopOrders-id < 150:
			o.status = "paid"
		case n < 5:
			o.status = "returned"
		}
		for position := 1; position <= 1+r.IntN(4); position++ {
			p := s.products[r.IntN(len(s.products))]
			l := line{order: id, position: position, product: p.id, quantity: 1 + r.IntN(3), cents: p.cents}
			o.cents += l.quantity * l.cents
			s.lines = append(s.lines, l)
		}
		s.orders = append(s.orders, o)
	}
	return s
}

// shopTable is one table, with its rows in the order of its columns. Values are int, string, time.Time or nil.
type shopTable struct {
	name    string
	columns []string
	rows    iter.Seq[[]any]
}

// tables are in an order that satisfies the foreign keys.
func (s *shop) tables() []shopTable {
	return []shopTable{
		{"customers", []string{"id", "name", "email", "phone", "city", "since"}, func(yield func([]any) bool) {
			for _, c := range s.customers {
				if !yield([]any{c.id, c.name, c.email, c.tel, c.city, c.since}) {
					return
				}
			}
		}},
		{"products", []string{"id", "sku", "name", "category", "description", "price_cents", "stock"}, func(yield func([]any) bool) {
			for _, p := range s.products {
				if !yield([]any{p.id, p.sku, p.name, p.category, orNil(p.tip), p.cents, p.stock}) {
					return
				}
			}
		}},
		{"orders", []string{"id", "number", "customer_id", "status", "placed_at", "total_cents"}, func(yield func([]any) bool) {
			for _, o := range s.orders {
				if !yield([]any{o.id, o.number, o.customer, o.status, o.placed, o.cents}) {
					return
				}
			}
		}},
		{"order_lines", []string{"order_id", "position", "product_id", "quantity", "price_cents"}, func(yield func([]any) bool) {
			for _, l := range s.lines {
				if !yield([]any{l.order, l.position, l.product, l.quantity, l.cents}) {
					return
				}
			}
		}},
		{"payments", []string{"id", "order_id", "method", "amount_cents", "paid_at"}, func(yield func([]any) bool) {
			id := 0
			for _, o := range s.orders {
				if o.paid == "" {
					continue
				}
				id++
				if !yield([]any{id, o.id, o.paid, o.cents, o.placed.Add(time.Minute)}) {
					return
				}
			}
		}},
	}
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// shopEnd is when the sample shop's last order was placed, if it is made now.
func shopEnd() time.Time { return time.Now().UTC().Truncate(time.Hour) }
