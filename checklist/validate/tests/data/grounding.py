"""Writes grounding.jsonl: contexts, and answers that they support or not. Run it in this folder.

A family is a context with its answers; every third family is held back (`held`): nothing was tuned on it. Values come from
small lists by a fixed seed, so that each run writes the same file.
"""

import json
import random

random.seed(20)

# (context, [supported answers], [(kind, unsupported answers)]), with values by name.
FAMILIES = {
    "warranty": (
        "The {thing} comes with a warranty of {n} years. It covers defects in material, but it does not cover water damage. "
        "Repairs take about {d} days. Contact {name} at the service desk.",
        ["The warranty of the {thing} is {n} years.", "Water damage is not covered.", "A repair takes around {d} days.",
         "The {thing} has a {n}-year warranty. You can contact {name}."],
        [("number", "The warranty of the {thing} is {n2} years."), ("negation", "Water damage is covered by the warranty."),
         ("number", "Repairs take about {d2} days."), ("name", "Contact {name2} at the service desk."),
         ("invented", "The {thing} comes with a warranty of {n} years. Batteries can be exchanged in any supermarket free of charge.")],
    ),
    "company": (
        "{firm} was founded in {y} by {name} in {city}. In 2023 the company had {k} employees and revenue of {m} million euros. "
        "Its headquarters moved to {city2} in 2019.",
        ["{name} founded {firm} in {y}.", "{firm} employed {k} people in 2023.", "The company was started in {city}.",
         "Revenue was {m} million euros in 2023.", "The headquarters are in {city2} since 2019."],
        [("number", "{firm} was founded in {y2} by {name}."), ("name", "{name2} founded {firm} in {y}."),
         ("number", "In 2023 the company had revenue of {m2} million euros."), ("unit", "Revenue was {m} million dollars in 2023."),
         ("number", "The headquarters moved to {city2} in 2021."), ("invented", "{firm} sells most of its machines to hospitals in Asia.")],
    ),
    "plans": (
        "The Basic plan costs {p} dollars per month and includes {g} GB of storage. The Pro plan costs {p2} dollars per month and "
        "includes {g2} GB of storage. Support by phone is available in the Pro plan only.",
        ["The Basic plan costs ${p} a month.", "Pro includes {g2} GB of storage.", "Phone support is available only in the Pro plan.",
         "The Pro plan costs {p2} dollars per month and has {g2}GB of storage."],
        [("elsewhere", "The Basic plan costs {p2} dollars per month."), ("elsewhere", "The Pro plan includes {g} GB of storage."),
         ("number", "The Pro plan costs {p3} dollars per month."), ("unit", "The Basic plan includes {g} TB of storage."),
         ("invented", "The Basic plan costs {p} dollars per month. A student discount halves the price during summer holidays.")],
    ),
    "meeting": (
        "The meeting of the board takes place on {day} {month} at {h}:30 in {city}. {name} will present the budget. "
        "Guests are not admitted.",
        ["The board meets on {day} {month}.", "The meeting is at {h}:30 in {city}.", "{name} presents the budget.", "Guests aren't admitted."],
        [("date", "The meeting takes place on {day2} {month}."), ("date", "The board meets on {day} {month2}."), ("number", "The meeting is at {h2}:30 in {city}."),
         ("name", "{name2} will present the budget."), ("negation", "Guests are admitted."), ("name", "The meeting takes place in {city2}.")],
    ),
    "medicine": (
        "Adults take {n} tablets of Relivan {d} times a day. The medicine must not be taken with alcohol. Store it below {t} degrees. "
        "Side effects include headache and nausea.",
        ["Adults take {n} tablets {d} times a day.", "Do not take it with alcohol.", "It should be stored below {t} °C.", "Headache is one of the side effects."],
        [("number", "Adults take {n2} tablets of Relivan {d} times a day."), ("negation", "The medicine can be taken with alcohol."), ("opposite", "Store it above {t} degrees."),
         ("invented", "Side effects include blurred vision, hair loss and insomnia."), ("number", "Store the medicine below {t2} degrees.")],
    ),
    "german_shop": (
        "Der Versand nach Österreich kostet {p} Euro und dauert {d} Tage. Die Rückgabe ist innerhalb von {r} Tagen möglich. "
        "Gutscheine werden nicht ausgezahlt. Der Laden in {gcity} ist sonntags geschlossen.",
        ["Der Versand nach Österreich kostet {p} €.", "Sie können die Ware innerhalb von {r} Tagen zurückgeben.", "Gutscheine werden nicht ausgezahlt.", "Sonntags ist der Laden in {gcity} geschlossen."],
        [("number", "Der Versand nach Österreich kostet {p2} Euro."), ("number", "Die Rückgabe ist innerhalb von {r2} Tagen möglich."), ("negation", "Gutscheine werden ausgezahlt."),
         ("opposite", "Der Laden in {gcity} ist sonntags offen."), ("invented", "Der Versand in die Schweiz erfolgt mit einem Kurier auf dem Fahrrad.")],
    ),
    "train": (
        "The train to {city} leaves from platform {n} at {h}:15 and arrives at {h3}:40. Bicycles are allowed after 9:00. Tickets cost {p} euros; children under {d} travel free.",
        ["The train to {city} departs at {h}:15.", "It leaves from platform {n}.", "A ticket costs {p} euros.", "You may take a bicycle after 9:00.", "Children under {d} travel free."],
        [("number", "The train to {city} leaves at {h2}:15."), ("number", "It leaves from platform {n2}."), ("opposite", "Bicycles are allowed before 9:00."), ("name", "The train goes to {city2}."),
         ("negation", "Bicycles are not allowed after 9:00."), ("invented", "The train has a dining car that serves warm soup.")],
    ),
    "film": (
        "\"The Quiet Harbour\" was directed by {name} and released in {y}. {name2} plays the lead. The film won {n} prizes and earned {m} million dollars. Critics praised the music, but not the ending.",
        ["{name} directed the film.", "The film was released in {y}.", "{name2} plays the lead.", "It won {n} awards and made {m} million dollars.", "The music was praised by critics."],
        [("elsewhere", "{name2} directed the film."), ("number", "The film was released in {y2}."), ("number", "The film won {n2} prizes."), ("number", "The film earned {m2} million dollars."),
         ("name", "{name3} plays the lead."), ("invented", "A sequel is being shot on an island near Norway.")],
    ),
    "lake": (
        "Lake Verra is {k} metres long and {d} metres deep. It lies north of {city}. Swimming is forbidden between {month} and {month2}. The water contains salt.",
        ["Lake Verra is {k} m long.", "The lake is {d} metres deep.", "It lies north of {city}.", "Swimming is forbidden between {month} and {month2}."],
        [("number", "Lake Verra is {k2} metres long."), ("opposite", "The lake lies south of {city}."), ("opposite", "Swimming is allowed between {month} and {month2}."), ("unit", "The lake is {d} feet deep."),
         ("negation", "The water does not contain salt."), ("word", "The water contains gold.")],
    ),
    "leave": (
        "Employees get {d} days of holiday a year. New staff may take holiday after {n} months. Requests go to {name}. Unused days expire on 31 {month}. Overtime is paid, but travel time is not paid.",
        ["Employees have {d} days of holiday per year.", "Unused days expire on {month} 31.", "Requests for holiday go to {name}.", "Travel time isn't paid."],
        [("number", "Employees get {d2} days of holiday a year."), ("date", "Unused days expire on 31 {month2}."), ("name", "Requests go to {name2}."), ("negation", "Travel time is paid."),
         ("unit", "New staff may take holiday after {n} weeks."), ("invented", "Employees get a new laptop and a bicycle at Christmas.")],
    ),
    "software": (
        "Version {v} of Tarn needs {g} GB of memory and runs on Linux and macOS. Windows is not supported. The default port is {k}. Set TARN_HOME to change the folder. Backups are made every {n} hours.",
        ["Tarn {v} needs {g}GB of memory.", "It runs on Linux and macOS.", "Windows is not supported.", "The default port is {k}.", "Backups are created every {n} hours."],
        [("number", "Version {v2} of Tarn needs {g} GB of memory."), ("number", "Tarn needs {g2} GB of memory."), ("negation", "Windows is supported."), ("number", "The default port is {k2}."),
         ("name", "It runs on Linux, macOS and Solaris."), ("unit", "Backups are made every {n} minutes.")],
    ),
    "french_museum": (
        "Le musée de {fcity} est ouvert de {h} heures à 18 heures. L'entrée coûte {p} euros. Les enfants ne paient pas. Les photos sont interdites dans les salles. Le musée est fermé le lundi.",
        ["Le musée est ouvert de {h} heures à 18 heures.", "L'entrée coûte {p} €.", "Les enfants ne paient pas.", "Le lundi, le musée est fermé."],
        [("number", "L'entrée coûte {p2} euros."), ("negation", "Les enfants paient."), ("date", "Le musée est fermé le mardi."), ("number", "Le musée est ouvert de {h2} heures à 18 heures."),
         ("invented", "Le musée possède une collection de voitures anciennes et un restaurant panoramique.")],
    ),
    "contract": (
        "The contract between {firm} and {firm2} runs until {day} {month} {y}. Either party can end it with notice of {n} months. {firm} pays {k} euros per month. Late payment costs {d} percent interest.",
        ["The contract ends on {day} {month} {y}.", "{firm} pays {k} euros a month.", "Notice is {n} months.", "Interest of {d}% is charged for late payment."],
        [("date", "The contract runs until {day2} {month} {y}."), ("number", "The contract runs until {day} {month} {y2}."), ("number", "{firm} pays {k2} euros per month."), ("elsewhere", "{firm2} pays {k} euros per month."),
         ("number", "Late payment costs {d2} percent interest."), ("unit", "Either party can end it with notice of {n} weeks.")],
    ),
    "recipe": (
        "Mix {k} grams of flour with {n} eggs and a pinch of salt. Bake the cake at {t5} degrees for {t} minutes. Do not open the oven during baking. Let it cool before you cut it.",
        ["You need {k} g of flour and {n} eggs.", "Bake it at {t5} °C for {t} minutes.", "Don't open the oven during baking.", "The cake should cool before you cut it."],
        [("number", "You need {k2} g of flour."), ("elsewhere", "Bake the cake at {t} degrees."), ("negation", "Open the oven during baking."), ("number", "Mix {k} grams of flour with {n2} eggs."),
         ("opposite", "Let it cool after you cut it."), ("invented", "Serve the cake with whipped cream and fresh strawberries.")],
    ),
    "people": (
        "{name} is {t} years old and works as a nurse in {city}. {name2} is {t2} years old and works as a pilot in {city2}. {name} manages {name3}.",
        ["{name} is {t} years old.", "{name2} works as a pilot.", "{name} works in {city}.", "{name3} is managed by {name}."],
        [("elsewhere", "{name} is {t2} years old."), ("elsewhere", "{name2} is {t} years old."), ("order", "{name3} manages {name}."), ("number", "{name} is {t3} years old."),
         ("word", "{name} works as a teacher in {city}.")],
    ),
    "spanish_hotel": (
        "El hotel de {scity} tiene {k} habitaciones y una piscina. El desayuno cuesta {p} euros. No se admiten mascotas. La recepción abre a las {h} horas.",
        ["El hotel tiene {k} habitaciones.", "El desayuno cuesta {p} €.", "No se admiten mascotas.", "La recepción abre a las {h}."],
        [("number", "El hotel tiene {k2} habitaciones."), ("number", "El desayuno cuesta {p2} euros."), ("negation", "Se admiten mascotas."), ("number", "La recepción abre a las {h2} horas."),
         ("invented", "El hotel ofrece clases de surf y bicicletas gratuitas.")],
    ),
    "election": (
        "{name} won the election in {city} with {t} percent of the votes. {name2} came second with {d} percent. Turnout rose to {t5} percent. The new council meets in {month}.",
        ["{name} won the election with {t}% of the votes.", "{name2} got {d} percent.", "Turnout rose to {t5} percent.", "The council meets in {month}."],
        [("elsewhere", "{name2} won the election in {city}."), ("elsewhere", "{name} won with {d} percent of the votes."), ("opposite", "Turnout fell to {t5} percent."), ("date", "The new council meets in {month2}."),
         ("number", "{name} won the election with {t3} percent of the votes."), ("name", "{name3} came second.")],
    ),
    "order": (
        "Order {code} was shipped on {day} {month} and contains {n} chairs and one table. The total is {k} dollars. It was not insured. The parcel is kept at the depot in {city} for {d} days.",
        ["Order {code} was shipped on {month} {day}.", "The total of the order is ${k}.", "The order wasn't insured.", "The depot in {city} keeps the parcel for {d} days."],
        [("code", "Order {code2} was shipped on {day} {month}."), ("date", "The order was shipped on {day2} {month}."), ("number", "The total is {k2} dollars."), ("negation", "The order was insured."),
         ("number", "It contains {n2} chairs and one table."), ("name", "The parcel is kept at the depot in {city2}.")],
    ),
    "bird": (
        "The marsh owl weighs {k} grams and lives in wetlands. It hunts at night. Females lay {n} eggs. The species is not endangered, because its habitat has grown by {d} percent.",
        ["A marsh owl weighs {k} g.", "Marsh owls live in wetlands.", "Females lay {n} eggs.", "The species isn't endangered.", "It hunts at night."],
        [("number", "The marsh owl weighs {k2} grams."), ("negation", "The species is endangered."), ("unit", "The marsh owl weighs {k} kilograms."), ("word", "The marsh owl lives in deserts."),
         ("number", "Females lay {n2} eggs."), ("invented", "Its call imitates the sound of thunder and frightens foxes.")],
    ),
    "bank": (
        "The savings account pays {d} percent interest a year. Withdrawals above {k} euros need {n} days of notice. The account is free for students. A card costs {p} euros per year. Accounts can't be opened by phone.",
        ["The account pays {d}% interest.", "A card costs {p} euros a year.", "Students have the account for free.", "You can't open an account by phone."],
        [("number", "The savings account pays {d2} percent interest a year."), ("opposite", "Withdrawals below {k} euros need {n} days of notice."), ("negation", "Accounts can be opened by phone."), ("number", "A card costs {p2} euros per year."),
         ("unit", "Withdrawals above {k} dollars need {n} days of notice."), ("invented", "The bank gives every pensioner a gold coin.")],
    ),
    "bridge": (
        "The Sol Bridge was opened in {y} and is {k} metres long. It was designed by {name}. About {m} thousand cars cross it every day. Trucks over {t} tonnes are not permitted.",
        ["The Sol Bridge opened in {y}.", "{name} designed the bridge.", "The bridge is {k} meters long.", "Every day about {m},000 cars cross the bridge.", "Trucks over {t} tonnes aren't permitted."],
        [("number", "The Sol Bridge was opened in {y2}."), ("name", "The bridge was designed by {name2}."), ("number", "About {m2} thousand cars cross it every day."), ("negation", "Trucks over {t} tonnes are permitted."),
         ("unit", "The bridge is {k} feet long."), ("number", "About {m} million cars cross it every day.")],
    ),
}

NAMES = ["Maria Lopez", "Jonas Weber", "Aiko Tanaka", "Peter Novak", "Clara Rossi", "Samuel Okoye", "Ingrid Berg", "Omar Haddad"]
CITIES = ["Lisbon", "Oslo", "Vienna", "Toronto", "Nairobi", "Prague", "Dublin", "Osaka"]
FIRMS = ["Nordwerk", "Heliotec", "Brightwater", "Castora", "Lumen Foods", "Tessera"]
MONTHS = ["January", "February", "March", "April", "June", "July", "September", "October", "November"]


def values():
    pick = lambda low, high, count: random.sample(range(low, high), count)
    v = {}
    v["n"], v["n2"] = pick(2, 9, 2)
    v["d"], v["d2"], v["d3"] = pick(10, 29, 3)
    v["h"], v["h2"] = pick(7, 11, 2)
    v["h3"] = v["h"] + 5
    v["p"], v["p2"], v["p3"] = pick(31, 59, 3)
    v["g"], v["g2"] = pick(60, 99, 2)
    v["r"], v["r2"] = pick(30, 45, 2)
    v["t"], v["t2"], v["t3"] = pick(45, 60, 3)
    v["t5"] = random.choice([160, 175, 180, 190])
    v["k"], v["k2"] = pick(220, 980, 2)
    v["m"], v["m2"] = pick(101, 190, 2)
    v["y"], v["y2"] = pick(1950, 2018, 2)
    v["day"], v["day2"] = pick(2, 28, 2)
    v["v"], v["v2"] = f"{random.randint(2, 5)}.{random.randint(1, 4)}", f"{random.randint(6, 9)}.{random.randint(5, 9)}"
    v["code"], v["code2"] = [f"AB-{number}" for number in pick(1000, 9999, 2)]
    v["name"], v["name2"], v["name3"] = random.sample(NAMES, 3)
    v["city"], v["city2"] = random.sample(CITIES, 2)
    v["firm"], v["firm2"] = random.sample(FIRMS, 2)
    v["month"], v["month2"] = random.sample(MONTHS, 2)
    v["thing"] = random.choice(["kettle", "drill", "blender", "lamp"])
    v["gcity"], v["fcity"], v["scity"] = random.choice(["Graz", "Köln", "Bern"]), random.choice(["Lyon", "Nantes"]), random.choice(["Sevilla", "Bilbao"])
    return v


def main():
    with open("grounding.jsonl", "w", encoding="utf-8") as out:
        for place, (family, (context, good, bad)) in enumerate(FAMILIES.items()):
            for round in range(2):
                v = values()
                cases = [(True, "supported", text) for text in good] + [(False, kind, text) for kind, text in bad]
                for number, (grounded, kind, text) in enumerate(cases):
                    line = {"id": f"{family}-{round}-{number}", "family": family, "held": place % 3 == 2, "kind": kind,
                            "context": context.format(**v), "answer": text.format(**v), "grounded": grounded}
                    out.write(json.dumps(line, ensure_ascii=False) + "\n")


main()
