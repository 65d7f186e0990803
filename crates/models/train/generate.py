"""Writes English texts with names of many origins for the name model.

    python generate.py COUNT > generated.jsonl

Sentences come from `templates.txt`, names from Faker's lists of Latin-script locales, from short lists below, and, for a
quarter of all people, from syllables, so that context counts for more than lists. A line out is as `label.py` writes it.
Seeded: the same count gives the same texts.
"""

import json
import random
import re
import sys
from datetime import datetime
from pathlib import Path

from faker import Faker

HERE = Path(__file__).parent
LOCALES = """en_US en_GB en_IN en_IE de_DE fr_FR es_ES es_MX it_IT pt_BR nl_NL pl_PL sv_SE tr_TR fi_FI cs_CZ ro_RO hu_HU
hr_HR id_ID vi_VN yo_NG zu_ZA tw_GH ig_NG ha_NG fil_PH az_AZ sl_SI lt_LT lv_LV et_EE no_NO da_DK""".split()
ROMAN = {
    "first": """Min-jun Seo-yeon Ji-ho Ha-eun Hiroshi Yuki Haruto Sakura Keiko Wei Xiaoming Jing Hao Li Mei Ming Fang Ahmad
    Fatima Hassan Layla Khalid Aisha Tariq Mariam Samir Nour Rashid Amina Ali Omar Giorgi Nino Armen Ani Nurlan Aigul Temir
    Bilal Imran Sana Faisal Arjun Deepa Kavya Ravi Lakshmi Sunil Meera Anil Pooja Rohit Chidi Emeka Ada Kwabena Efua Abena
    Makena Wanjiru Juma Neema Tendai Rudo Sione Mele Tui Kealoha Noa Itzel Xochitl Nahuel Yaretzi Dawit Selam Abebe Hiwot
    Natsuki Ren Yui Jae-won Soo-ah Quang Linh Thao Phuong Somchai Ananya Wirat Putri Agus Dewi""".split(),
    "last": """Kim Park Choi Jeong Kang Yoon Tanaka Suzuki Yamamoto Watanabe Ito Nakamura Wang Zhang Liu Chen Zhao Huang Zhou
    Al-Sayed Haddad Khoury Al-Rashid Mansour Farouk Nasser Rahman Siddiqui Malik Qureshi Chaudhry Beridze Kvaratskhelia
    Petrosyan Sargsyan Nazarbekov Akhmetov Patel Sharma Iyer Reddy Nair Banerjee Mukherjee Gupta Okafor Nwosu Eze Adeyemi
    Owusu Asante Osei Kamau Otieno Mwangi Ncube Chirwa Tuilagi Fonoti Kahale Huanca Mamani Tesfaye Bekele Alemu Mori Hayashi
    Tran Pham Le Hoang Suwannarat Wibowo Santoso Levy Cohen Mizrahi Peretz Yilmaz Demir Kaya Ivanov Petrova Kuznetsov""".split(),
}
KNOWN_FIRMS = """Google Microsoft Apple IBM Oracle Intel Samsung Sony Toyota Honda Volkswagen BMW Bosch Nestlé Unilever Shell BP
Vodafone Orange Walmart Target Costco Tesco Carrefour Aldi IKEA Nike Adidas Pfizer Novartis Bayer Roche Netflix Spotify Uber Lyft
Airbnb Tesla Boeing Airbus Ryanair FedEx DHL UPS Visa Mastercard PayPal Citibank HSBC Barclays Santander UBS Deloitte KPMG McKinsey
Accenture Salesforce Adobe Cisco Dell HP Lenovo Huawei Xiaomi Tencent Alibaba Reliance Wipro NASA UNICEF UNESCO NATO FBI CIA BBC CNN
Reuters Bloomberg Facebook Twitter LinkedIn YouTube AT&T Comcast Starbucks Nokia Ericsson Philips Heineken Maersk Equinor""".split()
LONG_FIRMS = """Bank of America|Wells Fargo|Morgan Stanley|JPMorgan Chase|General Motors|General Electric|Procter & Gamble|Johnson &
Johnson|Ernst & Young|United Nations|European Commission|World Bank|European Central Bank|Federal Reserve|Supreme Court|Harvard
University|University of Oxford|University of Toronto|Stanford|MIT|Imperial College|Mayo Clinic|Department of Justice|House of
Commons|Home Office|British Airways|American Airlines|Singapore Airlines|Delta Air Lines|Hewlett Packard|Electronic Arts|Red
Hat|Free Software Foundation|Mozilla Foundation|Amnesty International|Doctors Without Borders|New York Times|Washington Post|The
Guardian|Royal Mail|Rolls-Royce|Standard Chartered|Banco Santander|Crédit Agricole|Société Générale|Deutsche Post|Air India|Manchester
United|Real Madrid|Boston Celtics|Salvation Army|Lloyds Bank""".replace("\n", " ").split("|")
TAILS = """Robotics Logistics Freight Foundation Bank Clinic University College Hospital Airlines Insurance Partners Group Holdings
Capital Industries Systems Labs Media Foods Energy Motors Pharma Consulting Academy Institute Council Ministry Union Church Hotel
Dental Studios Bakery Records Construction Textiles Solutions Ventures Brothers Society Trust Association Software Technologies""".split()
LEGAL = "Inc. Ltd LLC GmbH PLC Corp. S.A. AG Co. Inc Ltd. BV Pty".split()
CITIES = """London Paris Berlin Madrid Rome Vienna Amsterdam Brussels Dublin Oslo Stockholm Copenhagen Helsinki Warsaw Prague Budapest
Athens Istanbul Ankara Moscow Kyiv Bucharest Sofia Belgrade Zagreb Munich Hamburg Cologne Frankfurt Stuttgart Lyon Marseille Toulouse
Nice Barcelona Valencia Seville Bilbao Porto Milan Turin Naples Venice Florence Geneva Basel Bern Manchester Birmingham Liverpool
Glasgow Edinburgh Cardiff Belfast Bristol Oxford Cambridge York Brighton Boston Chicago Denver Dallas Austin Houston Phoenix Seattle
Portland Atlanta Miami Orlando Detroit Cleveland Pittsburgh Philadelphia Baltimore Nashville Memphis Charlotte Tucson Sacramento
Oakland Toronto Montreal Vancouver Calgary Ottawa Quebec Bogotá Lima Quito Santiago Caracas Havana Kingston Managua Montevideo
Asunción Recife Salvador Brasília Cairo Alexandria Tunis Algiers Casablanca Rabat Dakar Accra Lagos Abuja Ibadan Kano Nairobi Mombasa
Kampala Kigali Lusaka Harare Johannesburg Pretoria Maputo Luanda Addis Khartoum Tehran Baghdad Basra Beirut Damascus Amman Jerusalem
Haifa Riyadh Jeddah Dubai Kuwait Manama Karachi Lahore Islamabad Delhi Mumbai Chennai Kolkata Bangalore Hyderabad Jaipur Dhaka Colombo
Kathmandu Yangon Bangkok Phuket Saigon Manila Cebu Jakarta Surabaya Singapore Taipei Shanghai Beijing Shenzhen Guangzhou Chengdu Wuhan
Seoul Busan Tokyo Osaka Kyoto Nagoya Sapporo Sydney Melbourne Brisbane Perth Adelaide Auckland Wellington Almaty Tbilisi Yerevan
Baku""".split()
LONG_CITIES = """New York|San Francisco|Los Angeles|Las Vegas|San Diego|Salt Lake City|New Orleans|St. Louis|Kansas City|Hong Kong|Tel
Aviv|Cape Town|Addis Ababa|Buenos Aires|Rio de Janeiro|São Paulo|Mexico City|Ho Chi Minh City|Kuala Lumpur|New Delhi|Abu Dhabi|Santa
Barbara|El Paso|Fort Worth|San José|Guatemala City|Panama City|The Hague|Newcastle upon Tyne|Stoke-on-Trent|Saint Petersburg|Nizhny
Novgorod|Phnom Penh|Sri Lanka|Costa Rica|New Zealand|South Africa|South Korea|North Carolina|West Virginia|Lake Victoria|Mount
Kilimanjaro|Bay of Bengal|Black Sea|Lake Geneva|River Thames|Times Square|Central Park|Heathrow Airport|Golden Gate
Bridge""".replace("\n", " ").split("|")
LANDS = """Germany France Spain Italy Portugal Poland Sweden Norway Denmark Finland Greece Turkey Russia Ukraine Romania Bulgaria Serbia
Croatia Hungary Austria Switzerland Belgium Netherlands Ireland Iceland Canada Mexico Brazil Argentina Chile Peru Colombia Venezuela
Cuba Egypt Morocco Tunisia Nigeria Ghana Kenya Uganda Ethiopia Somalia Tanzania Zambia Zimbabwe Mozambique Angola Namibia India Pakistan
Bangladesh Nepal China Japan Korea Vietnam Thailand Malaysia Indonesia Philippines Australia Iran Iraq Syria Lebanon Israel Qatar Oman
Yemen Afghanistan Kazakhstan California Texas Florida Ohio Nevada Oregon Utah Arizona Michigan Virginia Bavaria Tuscany Catalonia
Scotland Wales England Europe Africa Asia USA UK""".split()
# Capitalised, and nobody's name.
THINGS = """Monday Tuesday Friday Sunday January March August October Christmas Easter Ramadan Diwali Thanksgiving Python Java
JavaScript Rust Docker Kubernetes Linux Windows Android Excel Word Outlook PowerPoint Gmail Zoom Slack Git Wi-Fi Bluetooth PDF CSV JSON
HTML SQL API English German French Spanish Chinese Japanese Arabic European American Catholic Muslim Buddhist Internet PostgreSQL
Redis Kafka Terraform Bitcoin iPhone Photoshop Wikipedia Markdown Unicode Ubuntu Debian Grafana Jenkins Prometheus Ansible Django
React Angular Jira GitHub Cassandra Jackson Julia Ruby Scala Swift Kotlin Maven Gradle Helm Tomcat Catalina Apache Hadoop Spark Airflow
Puppet Chef Vagrant Travis Hudson Haskell Pascal Ada Elm Dart Flask Celery Pandas Watson Cortana Mercedes Levis Harley Dior Armani
Lincoln Sierra Monterey Ventura Jasper Jade Jinja Julius Gatsby Victoria Philips Wendy Gerber Dyson Hoover Alexa Siri Claude Gemini Covid Marxism Bayesian Gaussian Fourier Euler Newton Pythagoras""".split()
HONOURED = """Gauss Bayes Turing Dijkstra Markov Poisson Bernoulli Fibonacci Nash Pareto Moore Murphy Parkinson Alzheimer Down Hodgkin
Crohn Celsius Kelvin Richter Doppler Pavlov Occam Schrödinger Maxwell Planck Hamilton Lagrange Laplace Riemann Hilbert Cauchy Boltzmann
Huntington Tourette Asperger Kruskal Floyd Bellman Huffman Levenshtein Nyquist Shannon Zipf Goodhart Conway Amdahl Newton Ohm
Hooke""".split()
WORK = """engineer nurse teacher lawyer baker driver clerk analyst dentist plumber manager accountant designer pilot translator
surgeon cashier gardener consultant librarian mechanic""".split()
THING = """invoice report contract parcel laptop budget survey letter ticket refund schedule password proposal summary passport key
deposit printer project meeting complaint""".split()
SOUNDS = (["b", "d", "g", "k", "l", "m", "n", "r", "s", "t", "v", "z", "ch", "sh", "th", "br", "kr", "dr", "f", "h", "j", "p", "w", "y",
           "kh", "st", "fl", "gr", "nd", "mb"], ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ai", "ou", "ie", "aa", "ya"],
          ["", "", "", "n", "r", "l", "s", "m", "k", "t", "x", "sh", "ng", "rd", "ck"])


# The last day of all dates: what is drawn must not depend on the day on which it is.
NOW = datetime(2026, 11, 25, 2, 51, 33)


class Names:
    """Draws names."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        Faker.seed(seed)
        fakers = [Faker(locale) for locale in LOCALES]
        latin = re.compile(r"[A-Za-zÀ-ɏḀ-ỿ' -]+")
        take = lambda call: sorted({name for name in (call() for _ in range(500)) if latin.fullmatch(name)})
        self.first = [take(fake.first_name) for fake in fakers] + [ROMAN["first"]] * 6
        self.last = [take(fake.last_name) for fake in fakers] + [ROMAN["last"]] * 6
        pairs = [(first, last) for first, last in zip(self.first, self.last) if first and last]
        self.first, self.last = [first for first, _ in pairs], [last for _, last in pairs]
        self.towns = take(fakers[0].city) + take(fakers[1].city) + take(fakers[4].city) + take(fakers[9].city)
        self.streets = [street for fake in fakers for street in (fake.street_address() for _ in range(60))
                        if street.isascii() or latin.fullmatch(re.sub(r"[0-9.,/]", "", street))]
        self.fakes = fakers[:4]
        self.firms = [Faker("en_US").company() for _ in range(900)] + [Faker("de_DE").company() for _ in range(150)]

    def made_up(self):
        parts = self.random.choice([1, 2, 2, 2, 3])
        pick = self.random.choice
        return "".join(pick(SOUNDS[0]) + pick(SOUNDS[1]) for _ in range(parts)).capitalize() + pick(SOUNDS[2])

    def one(self, lists, origin):
        return self.made_up() if self.random.random() < 0.25 else self.random.choice(lists[origin])

    def person(self, form):
        origin = self.random.randrange(len(self.first))
        first, last = self.one(self.first, origin), self.one(self.last, origin)
        if form == "F":
            return first
        if form == "S":
            return last
        luck = self.random.random()
        if luck < 0.04:
            return f"{first} {self.random.choice('ABCDEFGHJKLMNPRSTW')}. {last}"
        if luck < 0.06:
            return f"{self.random.choice('ABCDEFGHJKLMNPRSTW')}. {last}"
        if luck < 0.09:
            return f"{first} {self.one(self.first, origin)} {last}"
        if luck < 0.12:
            return f"{first} {self.random.choice(['van der', 'de la', 'von', 'al', 'bin', 'de', 'da', 'van', 'El'])} {last}"
        if luck < 0.15:
            return f"{first} {last}-{self.one(self.last, origin)}"
        return f"{first} {last}"

    def firm(self):
        pick, luck = self.random.choice, self.random.random()
        if luck < 0.2:
            return pick(KNOWN_FIRMS)
        if luck < 0.35:
            return pick(LONG_FIRMS)
        if luck < 0.5:
            return pick(self.firms)
        head = pick([self.made_up(), pick(CITIES), pick(pick(self.last)), pick(THING).capitalize(), pick(WORK).capitalize(),
                     self.made_up() + pick(["ex", "ia", "ify", "tech", "soft", "net", "co"])])
        if luck < 0.62:
            return head if len(head) > 3 and head not in CITIES else f"{head} {pick(TAILS)}"
        if luck < 0.7:
            return f"{head} {pick(LEGAL)}"
        if luck < 0.75:
            return f"{head} {pick(['&', 'and'])} {pick(pick(self.last))}"
        if luck < 0.8:
            return f"{pick(['University', 'Bank', 'Ministry', 'Museum', 'Institute'])} of {pick(CITIES)}"
        return f"{head} {pick(TAILS)}" + (f" {pick(LEGAL)}" if self.random.random() < 0.2 else "")

    def town(self):
        luck = self.random.random()
        if luck < 0.55:
            return self.random.choice(CITIES)
        if luck < 0.7:
            return self.random.choice(LONG_CITIES)
        return self.random.choice(self.towns) if luck < 0.88 else self.made_up() + self.random.choice(
            ["burg", "ville", "ton", "stad", "abad", "pur", "grad", "ford", "mouth", "heim"])

    def address(self):
        """A street with its number, at times with a flat; no town."""
        number = self.random.randrange(1, 9999)
        street = self.random.choice(self.streets)
        if self.random.random() < 0.25:
            kind = self.random.choice(["Street", "Road", "Avenue", "Lane", "Drive", "Court", "Square", "Crescent", "St", "Rd", "Ave", "Way"])
            street = f"{number} {self.random.choice([self.person('S'), self.person('P'), self.made_up()])} {kind}"
        if self.random.random() < 0.25:
            flat = self.random.choice(["Apt. {}", "Apt {}", "Suite {}", "Unit {}", "Flat {}", "Floor {}"])
            street += self.random.choice([" ", ", ", "\n"]) + flat.format(self.random.randrange(1, 999))
        return street

    def value(self):
        """A number, an address on the net, a date."""
        fake = self.random.choice(self.fakes)
        makers = [fake.iban, fake.credit_card_number, fake.phone_number, fake.email, fake.url, lambda: fake.date(end_datetime=NOW), fake.postcode, fake.ean8,
                  fake.ipv4, lambda: fake.bothify("??-#####").upper(), lambda: f"${fake.random_int(5, 9000)}", fake.uuid4]
        return self.random.choice(makers)()

    def slot(self, name):
        """A value and the kind it has; `None` for what is no name."""
        if name in "PFS":
            return self.person(name), "P"
        if name == "C":
            return self.town(), "L"
        if name == "N":
            return self.random.choice(LANDS), "L"
        if name == "O":
            return self.firm(), "O"
        if name in "AV":
            return (self.address() if name == "A" else self.value()), None
        lists = {"X": THINGS, "H": HONOURED, "W": WORK, "T": THING}
        if name in lists:
            return self.random.choice(lists[name]), None
        return str(self.random.randrange(2, 90)), None


def fill(template, names):
    text, spans, end = "", [], 0
    for found in re.finditer(r"\{([A-Z#])\}", template):
        text += template[end:found.start()]
        value, kind = names.slot(found.group(1))
        if kind:
            spans.append([len(text), len(text) + len(value), kind])
        text += value
        end = found.end()
    return text + template[end:], spans


def main():
    names = Names(2026)
    lines = [line.replace("\\n", "\n") for line in (HERE / "templates.txt").read_text(encoding="utf-8").splitlines()
             if line and not line.startswith("#")]
    for _ in range(int(sys.argv[1])):
        text, spans = fill(names.random.choice(lines), names)
        if names.random.random() < 0.3:
            more, others = fill(names.random.choice(lines), names)
            spans += [[start + len(text) + 1, end + len(text) + 1, kind] for start, end, kind in others]
            text = f"{text} {more}"
        lower = text.lower()
        if names.random.random() < 0.14 and len(lower) == len(text):
            text = lower
        print(json.dumps({"text": text, "spans": spans}, ensure_ascii=False))


main()
