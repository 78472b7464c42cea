"""The words of the arithmetic problems: who, what, and the sentence for each kind of step.

A story is an opening (how much there is at first), events (each changes the amount by one operation), and an ending
(the question, which may ask for one more operation). Sentences are templates over

    {n}      the one whose amount it is      {n_}     "She" or "He"
    {m}      another, in openings only       {o}      a third, in events and endings only
    {t}      the things                      {a} {b}  the numbers of an opening
    {k}      the number of an event or ending

{m} and {o} are of the other sex than {n}, so that {n_} can mean nobody else. An operation is written as in its line of
the trace: "+", "-", "*", "/", with the running amount on the left, or "k-" where the number comes first (seats less
passengers).
"""

from dataclasses import dataclass

SHE = (
    "Ana", "Mia", "Zoe", "Lea", "Eva", "Ivy", "Amy", "Nora", "Ruth", "Lily", "Emma", "Rosa", "Jane", "Kate", "Sara",
    "Tara", "Anna", "Julia", "Maria", "Laura", "Alice", "Grace", "Helen", "Diana",
)  # fmt: skip
HE = (
    "Ben", "Tom", "Sam", "Max", "Leo", "Ian", "Dan", "Jim", "Bob", "Tim", "Paul", "Mark", "Adam", "Eric", "Omar",
    "Carl", "John", "Luke", "Hugo", "Oscar", "Peter", "David", "Henry", "James",
)  # fmt: skip

Line = tuple[str, str]
"""(operation, sentence)."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of story. `openings` use {a} and {b}, or {a} alone where the operation is "" (no step)."""

    name: str
    things: tuple[str, ...]
    openings: tuple[Line, ...]
    events: tuple[Line, ...]
    endings: tuple[Line, ...]


COLLECTION = Scenario(
    name="collection",
    things=("stickers", "marbles", "stamps", "shells", "coins", "cards", "beads", "pins", "toy cars", "buttons"),
    openings=(
        ("", "{n} has {a} {t}."),
        ("*", "{n} has {a} bags of {b} {t} each."),
        ("+", "{m} has {a} {t}. {n} has {b} more than {m}."),
        ("-", "{m} has {a} {t}. {n} has {b} fewer than {m}."),
        ("*", "{m} has {a} {t}. {n} has {b} times as many."),
        ("/", "{a} {t} are split equally among {b} children. {n} is one of them."),
    ),
    events=(
        ("+", "{n_} finds {k} more."),
        ("+", "{o} gives {n} {k} more."),
        ("+", "{n_} buys another {k}."),
        ("-", "{n_} loses {k}."),
        ("-", "{n_} gives {k} to {o}."),
        ("-", "{n_} trades away {k} {t}."),
        ("*", "{n_} trades until {n} has {k} times as many."),
        ("/", "{n_} keeps only 1 of every {k}."),
    ),
    endings=(
        ("", "How many {t} does {n} have now?"),
        ("+", "{o} has {k}. How many {t} do they have together?"),
        ("-", "{o} has {k}. How many more {t} does {n} have?"),
        ("/", "{n} puts them equally into {k} boxes. How many {t} are in each box?"),
        ("*", "Each one is worth ${k}. How many dollars are they worth?"),
    ),
)

MONEY = Scenario(
    name="money",
    things=("book", "game", "coat", "lamp", "bike", "watch", "tent", "chair"),
    openings=(
        ("", "{n} has ${a}."),
        ("*", "{n} works {a} hours for ${b} an hour."),
        ("+", "{n} has ${a} in a jar and ${b} in a bag."),
        ("-", "{m} has ${a}. {n} has ${b} less."),
        ("*", "{m} has ${a}. {n} has {b} times as much."),
        ("/", "{n} and some friends, {b} people in all, share ${a} equally."),
    ),
    events=(
        ("+", "{n_} earns ${k}."),
        ("+", "{n_} gets ${k} for a birthday."),
        ("-", "{n_} pays ${k} for a {t}."),
        ("-", "{n_} lends {o} ${k}."),
        ("-", "A {t} costs {n} ${k}."),
        ("*", "{n_} saves until it is {k} times as much."),
        ("/", "{n_} keeps one part in {k} and gives the rest away."),
    ),
    endings=(
        ("", "How many dollars does {n} have now?"),
        ("k-", "A {t} costs ${k}. How many more dollars does {n} need?"),
        ("+", "{o} has ${k}. How many dollars do they have together?"),
        ("/", "{n} shares it equally among {k} people. How many dollars does each get?"),
        ("/", "Tickets cost ${k} each. How many tickets can {n} buy?"),
    ),
)

KITCHEN = Scenario(
    name="kitchen",
    things=("cookies", "rolls", "pies", "muffins", "tarts", "buns", "pancakes", "scones"),
    openings=(
        ("", "{n} bakes {a} {t}."),
        ("*", "{n} bakes {a} trays of {b} {t}."),
        ("+", "{n} bakes {a} {t} in the morning and {b} at night."),
        ("-", "{n} bakes {a} {t} and burns {b}."),
        ("+", "{m} bakes {a} {t}. {n} bakes {b} more than {m}."),
    ),
    events=(
        ("+", "{n_} makes {k} more."),
        ("+", "{o} brings {k}."),
        ("-", "The family eats {k}."),
        ("-", "{n_} sells {k}."),
        ("-", "{n_} drops {k} {t}."),
        ("*", "{n_} bakes until there are {k} times as many."),
        ("/", "Only 1 in {k} is good enough to keep."),
    ),
    endings=(
        ("", "How many {t} are left?"),
        ("/", "{n} packs them equally into {k} boxes. How many {t} are in a box?"),
        ("/", "{n} puts {k} on each plate. How many plates are filled?"),
        ("*", "{n} sells them for ${k} each. How many dollars is that?"),
        ("k-", "A party needs {k}. How many {t} are still missing?"),
    ),
)

FARM = Scenario(
    name="farm",
    things=("sheep", "hens", "goats", "ducks", "cows", "pigs", "geese", "rabbits"),
    openings=(
        ("", "{n}'s farm has {a} {t}."),
        ("*", "{n}'s farm has {a} barns with {b} {t} in each."),
        ("+", "{n}'s farm has {a} white {t} and {b} brown ones."),
        ("-", "{m}'s farm has {a} {t}. {n}'s has {b} fewer."),
        ("*", "{m}'s farm has {a} {t}. {n}'s has {b} times as many."),
    ),
    events=(
        ("+", "{n_} buys {k} more."),
        ("+", "Then {k} are born."),
        ("-", "{n_} sells {k}."),
        ("-", "Then {k} run away."),
        ("*", "In a year there are {k} times as many."),
        ("/", "{n_} keeps only 1 of every {k}."),
    ),
    endings=(
        ("", "How many {t} does {n} have now?"),
        ("/", "They live in {k} equal pens. How many {t} are in each pen?"),
        ("*", "Each eats {k} kg a week. How many kg do they eat a week?"),
        ("+", "{n} also has {k} dogs. How many animals is that?"),
    ),
)

TRAVEL = Scenario(
    name="travel",
    things=("bus", "train", "ferry", "tram", "plane", "boat"),
    openings=(
        ("", "A {t} has {a} people on it."),
        ("*", "A {t} has {a} full rows of {b} people."),
        ("+", "A {t} carries {a} adults and {b} children."),
        ("-", "A {t} has {a} seats and {b} are empty. The others are taken."),
    ),
    events=(
        ("+", "Then {k} people get on."),
        ("+", "At the next stop {k} more board."),
        ("-", "Then {k} get off."),
        ("-", "At the next stop {k} people leave."),
        ("*", "Later there are {k} times as many people."),
        ("/", "At the end only 1 in {k} stays on."),
    ),
    endings=(
        ("", "How many people are on the {t} now?"),
        ("*", "Each pays ${k}. How many dollars do they pay?"),
        ("/", "They split into {k} equal groups. How many people are in a group?"),
        ("k-", "The {t} has {k} seats. How many seats are free?"),
    ),
)

READING = Scenario(
    name="reading",
    things=("novel", "story", "report", "script", "diary", "comic"),
    openings=(
        ("", "{n} reads {a} pages of a {t}."),
        ("*", "{n} reads {a} pages of a {t} a day for {b} days."),
        ("+", "{n} reads {a} pages of a {t} on Monday and {b} on Tuesday."),
        ("+", "{m} reads {a} pages of a {t}. {n} reads {b} more than {m}."),
        ("/", "{n} reads a {t} of {a} pages, in {b} equal parts, and ends the first part."),
    ),
    events=(
        ("+", "{n_} reads {k} more at home."),
        ("+", "Then {n} reads another {k} pages."),
        ("*", "In a week {n} has read {k} times as many."),
        ("-", "But {k} of them were read twice, and don't count."),
    ),
    endings=(
        ("", "How many pages has {n} read?"),
        ("k-", "The {t} has {k} pages. How many pages are left?"),
        ("/", "{n} reads {k} pages an hour. How many hours does it take?"),
        ("*", "{n} needs {k} minutes a page. How many minutes is that?"),
    ),
)

SHOP = Scenario(
    name="shop",
    things=("pens", "cups", "hats", "lamps", "kites", "ropes", "dolls", "mugs", "plates", "brushes"),
    openings=(
        ("", "A shop has {a} {t}."),
        ("*", "A shop gets {a} crates with {b} {t} each."),
        ("+", "A shop has {a} red {t} and {b} blue ones."),
        ("-", "A shop orders {a} {t}, but {b} arrive broken and are thrown out."),
        ("/", "{b} shops share {a} {t} equally. {n} owns one of them."),
    ),
    events=(
        ("-", "It sells {k} on Monday."),
        ("-", "{o} buys {k}."),
        ("-", "It sends {k} back."),
        ("+", "It gets {k} more."),
        ("+", "A van brings {k} {t}."),
        ("*", "It orders until it has {k} times as many."),
        ("/", "It keeps 1 of every {k} and ships the rest."),
    ),
    endings=(
        ("", "How many {t} does the shop have now?"),
        ("*", "It sells them all for ${k} each. How many dollars does it get?"),
        ("/", "They stand on {k} equal shelves. How many {t} are on a shelf?"),
        ("/", "It sells {k} a day. In how many days are they gone?"),
    ),
)

GARDEN = Scenario(
    name="garden",
    things=("roses", "tulips", "bulbs", "beans", "carrots", "herbs", "shrubs", "lilies"),
    openings=(
        ("", "{n} plants {a} {t}."),
        ("*", "{n} plants {a} rows of {b} {t}."),
        ("+", "{n} plants {a} {t} in front and {b} behind the house."),
        ("-", "{n} plants {a} {t}, but {b} don't grow."),
        ("*", "{m} plants {a} {t}. {n} plants {b} times as many as {m}."),
    ),
    events=(
        ("+", "{n_} adds {k} more."),
        ("+", "{o} plants {k} there too."),
        ("-", "A storm ruins {k}."),
        ("-", "{n_} picks {k}."),
        ("*", "By May there are {k} times as many."),
        ("/", "Only 1 in {k} lives through the winter."),
    ),
    endings=(
        ("", "How many {t} are in the garden now?"),
        ("/", "They stand in {k} equal beds. How many {t} are in a bed?"),
        ("*", "Each needs {k} cups of water. How many cups is that?"),
        ("/", "{n} ties them in bunches of {k}. How many bunches are there?"),
    ),
)

TANK = Scenario(
    name="tank",
    things=("water", "milk", "juice", "oil", "tea", "soup"),
    openings=(
        ("", "A tank holds {a} litres of {t}."),
        ("*", "{n} pours {a} cans of {b} litres of {t} into a tank."),
        ("+", "{n} pours {a} litres of {t}, then {b} litres, into a tank."),
        ("-", "A tank of {t} can hold {a} litres. It is {b} litres short of full."),
    ),
    events=(
        ("+", "{n} adds {k} litres."),
        ("+", "Then {k} litres flow in."),
        ("-", "Then {k} litres leak out."),
        ("-", "{o} takes {k} litres."),
        ("*", "{n} fills it to {k} times as much."),
        ("/", "Only one part in {k} is kept."),
    ),
    endings=(
        ("", "How many litres are in the tank now?"),
        ("/", "It is filled into {k} equal jugs. How many litres are in a jug?"),
        ("*", "A litre costs ${k}. How many dollars is it worth?"),
        ("k-", "The tank takes {k} litres. How many litres are missing?"),
    ),
)

GAMES = Scenario(
    name="games",
    things=("chess", "darts", "tennis", "bowling", "golf", "quiz"),
    openings=(
        ("", "{n} has {a} points in a {t} game."),
        ("*", "{n} wins {a} rounds of {t}, {b} points each."),
        ("+", "{n} scores {a} and then {b} points in a {t} game."),
        ("-", "{m} has {a} points in a {t} game. {n} has {b} fewer."),
        ("+", "{m} has {a} points in a {t} game. {n} has {b} more."),
    ),
    events=(
        ("+", "{n_} wins {k} points."),
        ("+", "A good move gives {n} {k} more."),
        ("-", "{n_} loses {k} points."),
        ("-", "A foul costs {n} {k}."),
        ("*", "A bonus makes it {k} times as many."),
        ("/", "A penalty leaves {n} 1 of every {k}."),
    ),
    endings=(
        ("", "How many points does {n} have?"),
        ("-", "{o} has {k}. By how many points does {n} lead?"),
        ("+", "{o} has {k}. How many points does the team have?"),
        ("k-", "The goal is {k}. How many points does {n} still need?"),
        ("/", "They came in {k} equal rounds. How many points is that a round?"),
    ),
)

SCENARIOS = (COLLECTION, MONEY, KITCHEN, FARM, TRAVEL, READING, SHOP, GARDEN, TANK, GAMES)
